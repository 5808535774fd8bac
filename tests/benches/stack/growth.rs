//! What one assign costs as the pool of its company grows, and as there are more companies.

use dialpool::engine::{Cost, metered};
use dialpool_domain::place::Place;
use dialpool_domain::pool::NewNumber;
use dialpool_domain::{CompanyId, PhoneNumber};
use dialpool_dynamo::{Assigned, Changed, Imported, Request};
use dialpool_tests::World;
use futures::{StreamExt, stream};

/// Companies, and numbers in the one that is measured; the others have [`OTHERS`].
const SIZES: [(usize, usize); 7] =
    [(1, 5), (1, 100), (1, 1_500), (1, 3_000), (1, 100_000), (100, 15), (200, 15)];

const OTHERS: usize = 15;

/// Assigns that are measured; each is released before the next.
const ASSIGNS: usize = 20;

/// Columns of the longest bar.
const WIDTH: u32 = 40;

/// What is drawn of a cost.
type Figure = (&'static str, fn(&Cost) -> f64);

const FIGURES: [Figure; 4] = [
    ("requests", |cost| f64::from(cost.requests)),
    ("round trips", |cost| f64::from(cost.round_trips)),
    ("read units", |cost| cost.read_units),
    ("write units", |cost| cost.write_units),
];

pub(crate) fn run() {
    let mut measured = Vec::new();
    for (companies, numbers) in SIZES {
        eprintln!("{companies} companies, {numbers} numbers");
        measured.push((companies, numbers, crate::in_virtual_time(assigns(companies, numbers))));
    }

    let mut table =
        crate::table(&["companies", "numbers", "requests", "round trips", "read units", "write units"]);
    for (companies, numbers, costs) in &measured {
        let mut cells = vec![companies.to_string(), numbers.to_string()];
        cells.extend(FIGURES.iter().map(|(_, figure)| format!("{:.2}", mean(costs, *figure))));
        table.add_row(cells);
    }
    println!("One assign by area code, state and any, the mean of {ASSIGNS}\n\n{table}");

    for (name, figure) in FIGURES {
        let means: Vec<f64> = measured.iter().map(|(.., costs)| mean(costs, figure)).collect();
        let most = means.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        println!("\n{name}");
        for ((companies, numbers, _), mean) in measured.iter().zip(means) {
            let bar: String =
                (0..WIDTH).filter(|n| f64::from(*n) < mean / most * f64::from(WIDTH)).map(|_| '█').collect();
            println!("{companies:>4} x {numbers:<7} {bar} {mean:.2}");
        }
    }
}

fn mean(costs: &[Cost], figure: fn(&Cost) -> f64) -> f64 {
    costs.iter().map(figure).sum::<f64>() / costs.len() as f64
}

/// Numbers that no two companies share, in all area codes there are room for.
fn number(n: usize) -> PhoneNumber {
    format!("+1{}555{:04}", 201 + n % 700, 100 + n / 700).parse().expect("a number")
}

async fn assigns(companies: usize, numbers: usize) -> Vec<Cost> {
    let world = World::with(|settings| settings.schedule_stretch = 1_000_000).await;
    let others = (1..companies).flat_map(|company| {
        let company: CompanyId = format!("company-{company}").parse().expect("a company");
        vec![company; OTHERS]
    });
    let owners = std::iter::repeat_n(world.company.clone(), numbers).chain(others);
    stream::iter(owners.enumerate())
        .for_each_concurrent(16, async |(n, company)| {
            let imported =
                world.store().import_number(&world.cause(), &company, &NewNumber::bare(number(n))).await;
            assert_eq!(imported.expect("an answer"), Imported::Added);
        })
        .await;

    let mut costs = Vec::new();
    for n in 0..ASSIGNS {
        let phone = number(n * 31);
        let request = Request { place: Place::of_phone(&phone), ..world.request(&format!("lead-{n}")) };
        let (assigned, cost) = metered(world.store().assign(&world.cause(), &request)).await;
        let Ok(Assigned::Granted(hold, _)) = assigned else { panic!("{assigned:?}") };
        costs.push(cost);
        assert!(matches!(world.release(&hold.assignment_id).await, Changed::Done(_)));
    }
    costs
}
