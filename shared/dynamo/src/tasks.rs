//! Tasks for a person: made once for each thing, listed while they are open, settled by hand.
//!
//! A task is added in a transaction of its own, before the change that leaves the thing to a person: after a crash between the two,
//! the repetition finds the task there. An open task is in the index `by_due` by the moment at which it was made.

use dialpool_domain::event::{Aggregate, Cause, EventData};
use dialpool_domain::task::{Task, TaskKind};
use dialpool_domain::time::millis;
use dialpool_domain::{CallId, CampaignId, CompanyId, LeadId, TaskId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::calls::Page;
use crate::transaction::{IntoAttribute, Transacted, Write};
use crate::{Store, StoreError, items, keys, query};

/// A task: `TASK#<company>` / `<task>`.
#[derive(Serialize, Deserialize)]
struct TaskItem {
    company: CompanyId,
    task_id: TaskId,
    kind: TaskKind,
    about: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lead_id: Option<LeadId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    call_id: Option<CallId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    campaign_id: Option<CampaignId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    said: Option<String>,
    #[serde(with = "millis")]
    created_at: Timestamp,
    #[serde(default, with = "millis::option", skip_serializing_if = "Option::is_none")]
    done_at: Option<Timestamp>,
    /// The moment at which it was made, while it is open.
    #[serde(default, with = "millis::option", skip_serializing_if = "Option::is_none")]
    due_at: Option<Timestamp>,
}

impl From<Task> for TaskItem {
    fn from(task: Task) -> Self {
        Self {
            company: task.company,
            task_id: task.id,
            kind: task.kind,
            about: task.about,
            lead_id: task.lead,
            call_id: task.call_id,
            campaign_id: task.campaign_id,
            said: task.said,
            created_at: task.created_at,
            done_at: task.done_at,
            due_at: task.done_at.is_none().then_some(task.created_at),
        }
    }
}

impl From<TaskItem> for Task {
    fn from(item: TaskItem) -> Self {
        Self {
            id: item.task_id,
            company: item.company,
            kind: item.kind,
            about: item.about,
            lead: item.lead_id,
            call_id: item.call_id,
            campaign_id: item.campaign_id,
            said: item.said,
            created_at: item.created_at,
            done_at: item.done_at,
        }
    }
}

/// What became of a task to be added.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskAdded {
    /// It is open now.
    Added,
    /// It was there, open or settled.
    Already,
}

/// What became of a task to be settled.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskSettled {
    /// It is settled, now or since before.
    Done(Box<Task>),
    /// The company has no such task.
    NotFound,
}

impl Store {
    /// Adds a task, unless there is one of its kind about the same thing.
    ///
    /// # Errors
    /// When the store gives no answer; it must be repeated until it does.
    pub async fn add_task(&self, cause: &Cause, task: &Task) -> Result<TaskAdded, StoreError> {
        let key = keys::task(&task.company, &task.id);
        let item = items::write("task", key, &TaskItem::from(task.clone()))?;
        let event = EventData::TaskCreated {
            kind: task.kind,
            lead: task.lead.clone(),
            call_id: task.call_id.clone(),
            campaign_id: task.campaign_id.clone(),
        };
        let writes = vec![
            Write::insert(&self.tables.dialing, item),
            self.journal(cause, &task.company, Aggregate::Task(task.id.clone()), 1, event)?,
        ];
        Ok(match self.transact(writes).await? {
            Transacted::Done => TaskAdded::Added,
            Transacted::Refused(_) => TaskAdded::Already,
        })
    }

    /// Settles a task. Settling it again changes nothing.
    ///
    /// # Errors
    /// When the store gives no answer; it can be repeated.
    pub async fn settle_task(
        &self,
        cause: &Cause,
        company: &CompanyId,
        id: &TaskId,
    ) -> Result<TaskSettled, StoreError> {
        let Some(task) = self.task(company, id).await? else { return Ok(TaskSettled::NotFound) };
        if task.done_at.is_some() {
            return Ok(TaskSettled::Done(Box::new(task)));
        }
        let writes = vec![
            Write::update(&self.tables.dialing, keys::task(company, id), "SET done_at = :done REMOVE due_at")
                .when("attribute_exists(pk) AND attribute_not_exists(done_at)")
                .value(":done", cause.at),
            self.journal(
                cause,
                company,
                Aggregate::Task(id.clone()),
                2,
                EventData::TaskDone { kind: task.kind },
            )?,
        ];
        Ok(match self.transact(writes).await? {
            Transacted::Done => TaskSettled::Done(Box::new(Task { done_at: Some(cause.at), ..task })),
            // Somebody else was faster.
            Transacted::Refused(_) => self
                .task(company, id)
                .await?
                .map_or(TaskSettled::NotFound, |task| TaskSettled::Done(Box::new(task))),
        })
    }

    /// A task.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn task(&self, company: &CompanyId, id: &TaskId) -> Result<Option<Task>, StoreError> {
        let item = self.get::<TaskItem>("task", &self.tables.dialing, keys::task(company, id)).await?;
        Ok(item.map(Task::from))
    }

    /// The open tasks of a company, the oldest first, from behind `after` on.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn open_tasks(
        &self,
        company: &CompanyId,
        after: Option<(Timestamp, TaskId)>,
        limit: u32,
    ) -> Result<Page<Task>, StoreError> {
        let from = after.map(|(at, id)| {
            let mut key = keys::task(company, &id);
            key.insert("due_at".to_owned(), at.into_attribute());
            key
        });
        let open = self
            .client
            .query()
            .table_name(&self.tables.dialing)
            .index_name("by_due")
            .consistent_read(true)
            .key_condition_expression("pk = :tasks")
            .expression_attribute_values(":tasks", keys::tasks_partition(company).into_attribute())
            .set_exclusive_start_key(from)
            .limit(i32::try_from(limit).unwrap_or(i32::MAX));
        let page = query::page(open).await?;
        let more = page.last_evaluated_key.is_some();
        let keys = query::keys(page);
        let found = self.get_some(&self.tables.dialing, keys, None).await?;
        let tasks = found.into_iter().map(|item| items::read::<TaskItem>("task", item).map(Task::from));
        let mut tasks = tasks.collect::<Result<Vec<_>, _>>()?;
        tasks.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        let next = tasks.last().filter(|_| more).map(|last| (last.created_at, last.id.to_string()));
        // One that was settled since the index was read has left the list.
        tasks.retain(|task| task.done_at.is_none());
        Ok(Page { entries: tasks, next })
    }
}
