//! What the command takes from where it works: the company's settings, and, of a stack elsewhere, the clock and the key.

#![expect(clippy::unwrap_used, reason = "a test ends where its set-up fails")]

use std::path::Path;
use std::process::{Command, Output};

use dialpool::engine::Engine;
use dialpool_domain::consent::ConsentRequired;
use dialpool_domain::pool::HoldHours;
use dialpool_dynamo::Company;
use dialpool_runtime::Clock;

fn dialpool(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dialpool"));
    for variable in ["AWS_ENDPOINT_URL", "PHONE_HASH_KEY"] {
        command.env_remove(variable);
    }
    command.args(arguments).arg("--folder").arg(folder).envs(variables.iter().copied()).output().unwrap()
}

fn errors(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_company_that_a_key_makes_is_told() {
    let folder = tempfile::tempdir().unwrap();

    let first = dialpool(folder.path(), &["key", "acme"], &[]);
    let second = dialpool(folder.path(), &["key", "acme"], &[]);

    assert_eq!(errors(&first), "company acme was made\n");
    assert_eq!(errors(&second), "");
    assert!(first.stdout.starts_with(b"dp_") && second.stdout.starts_with(b"dp_"));
}

#[test]
fn an_import_makes_a_campaign_with_the_hold_of_the_company_and_the_cap_and_consent_that_are_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let leads = folder.path().join("leads.csv");
    std::fs::write(&leads, "phone,lead\n+14155550150,a\n").unwrap();
    let hold_hours = HoldHours::try_from(7).unwrap();
    assert!(dialpool(folder.path(), &["key", "acme"], &[]).status.success());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let company = "acme".parse().unwrap();
    runtime.block_on(async {
        let store = Engine::in_folder(folder.path(), Clock::system()).unwrap().store();
        let known = store.company(&company).await.unwrap().unwrap();
        assert!(store.change_company(&Company { hold_hours, ..known }).await.unwrap().is_some());
    });

    let import = ["import", "leads", leads.to_str().unwrap(), "--company", "acme"];
    let imported = dialpool(
        folder.path(),
        &[&import[..], &["--cap", "3", "--consent-required", "express"]].concat(),
        &[],
    );
    let refused = dialpool(folder.path(), &[&import[..], &["--cap", "51"]].concat(), &[]);

    assert!(imported.status.success(), "{}", errors(&imported));
    assert!(errors(&refused).contains("a campaign has 1 to 50 lines"), "{}", errors(&refused));
    let campaigns = runtime.block_on(async {
        let store = Engine::in_folder(folder.path(), Clock::system()).unwrap().store();
        store.campaigns(&company, None, 10).await.unwrap()
    });
    let [campaign] = &campaigns.entries[..] else { panic!("{campaigns:?}") };
    assert_eq!((campaign.cap.lines(), campaign.hold_hours), (3, hold_hours));
    assert_eq!(campaign.policy.consent_required, ConsentRequired::Express);
}

#[test]
fn a_stack_elsewhere_is_not_asked_with_a_key_of_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let leads = folder.path().join("leads.csv");
    std::fs::write(&leads, "phone,lead\n+14155550150,a\n").unwrap();

    let elsewhere = [("AWS_ENDPOINT_URL", "http://127.0.0.1:1")];
    let refused = dialpool(folder.path(), &["preflight", leads.to_str().unwrap()], &elsewhere);

    assert!(errors(&refused).contains("PHONE_HASH_KEY must be"), "{}", errors(&refused));
    assert!(!folder.path().join("dialpool.db").exists());
}
