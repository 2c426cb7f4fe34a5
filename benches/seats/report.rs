//! What is printed: tables in Markdown with medians and spread, and each goal with its result.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::Plan;
use super::peers::{Measured, Peers};

#[derive(Default)]
pub struct Results {
    /// The measurement of each round, by peer and number of connections.
    measured: BTreeMap<(char, usize), Vec<Measured>>,
    others: BTreeMap<String, Vec<f64>>,
}

impl Results {
    pub fn note(&mut self, peer: char, connections: usize, measured: Measured) {
        self.measured.entry((peer, connections)).or_default().push(measured);
    }

    pub fn add(&mut self, what: String, value: f64) {
        self.others.entry(what).or_default().push(value);
    }

    fn of(&self, peer: char, connections: usize, value: impl Fn(&Measured) -> f64) -> Vec<f64> {
        self.measured.get(&(peer, connections)).into_iter().flatten().map(value).collect()
    }

    /// Returns the ratio of two peers in each round.
    fn ratio(&self, (peer, of): (char, char), connections: usize) -> Vec<f64> {
        let rate = |peer| self.of(peer, connections, |m| m.loaded.rate());
        rate(peer).into_iter().zip(rate(of)).map(|(a, b)| a / b).collect()
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

fn spread(values: &[f64], digits: usize) -> String {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("{} ({}–{})", number(median(values), digits), number(least, digits), number(most, digits))
}

/// Formats a number with commas between thousands.
fn number(value: f64, digits: usize) -> String {
    if !value.is_finite() {
        return "–".into();
    }
    let text = format!("{:.digits$}", value.abs());
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut grouped = String::new();
    for (n, digit) in whole.chars().enumerate() {
        if n > 0 && (whole.len() - n) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{}{grouped}{rest}", if value < 0.0 { "-" } else { "" })
}

pub fn machine(plan: &Plan, peers: &Peers, folder: &Path) {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!("{cores} cores, {} rounds of {} s each", plan.rounds, plan.time.as_secs_f64());
    if let Some(redis) = &peers.redis {
        println!("Redis {}", redis.version);
    }
    if let Some(postgres) = &peers.postgres {
        println!("PostgreSQL {}", postgres.version);
    }
    let device = |path: &Path| std::fs::metadata(path).map_or(0, |metadata| metadata.dev());
    if device(folder) != device(Path::new(env!("CARGO_TARGET_TMPDIR"))) {
        println!(
            "etcd writes to another file system than the other servers: the target folder is not where {} is",
            folder.display()
        );
    }
    match super::unbounded("operator").is_empty() {
        true => println!("the ledger's byte budget is the default: the operator has no option to change it"),
        false => println!("the ledger's byte budget is lifted, except where the table says otherwise"),
    }
}

pub fn show(plan: &Plan, results: &Results) {
    println!(
        "\n| | connections | cycles/s | p50, ms | p99, ms | CPU: cores | writes/s | cycles in a write | etcd log, B/cycle | disk, B/cycle | refused |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    for ((peer, connections), all) in &results.measured {
        let of = |value: fn(&Measured) -> f64| median(&all.iter().map(value).collect::<Vec<_>>());
        let names = all.first().map_or(&[][..], |measured| &measured.cores);
        let cores = names.iter().enumerate().map(|(n, (name, _))| {
            let each: Vec<f64> = all.iter().filter_map(|measured| Some(measured.cores.get(n)?.1)).collect();
            format!("{name} {:.2}", median(&each))
        });
        println!(
            "| {peer} | {connections} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            spread(&all.iter().map(|m| m.loaded.rate()).collect::<Vec<_>>(), 0),
            number(of(|m| m.loaded.percentile(50.0)), 1),
            spread(&all.iter().map(|m| m.loaded.percentile(99.0)).collect::<Vec<_>>(), 1),
            cores.collect::<Vec<_>>().join(", "),
            number(of(|m| m.commits), 0),
            number(of(|m| m.loaded.rate() / m.commits), 1),
            number(of(|m| m.log_bytes), 0),
            number(of(|m| m.disk_bytes), 0),
            all.iter().map(|m| m.loaded.refused).sum::<u64>(),
        );
    }
    println!(
        "\nK: a real API server, pool of {}; k: the same, pool of 256; E: `seatkeeper up`; L: a Lease for each seat; R: Redis; P: PostgreSQL; O, U: K and E with the program of the image.",
        super::POOL
    );

    println!("\n| ratio | connections | median (from–to) |\n|---|---|---|");
    for pair in [('K', 'L'), ('K', 'R'), ('K', 'P'), ('E', 'R'), ('E', 'P'), ('K', 'k'), ('O', 'K'), ('U', 'E')] {
        for connections in &plan.connections {
            let ratio = results.ratio(pair, *connections);
            if !ratio.is_empty() {
                println!("| {}/{} | {connections} | {} |", pair.0, pair.1, spread(&ratio, 2));
            }
        }
    }

    println!("\n| what | median (from–to) |\n|---|---|");
    for (what, values) in &results.others {
        println!("| {what} | {} |", spread(values, 0));
    }

    println!("\n| goal | came out | |\n|---|---|---|");
    for (what, wanted, values) in goals(results) {
        if values.is_empty() {
            continue;
        }
        let (value, digits) = (median(&values), if median(&values).abs() < 100.0 { 2 } else { 0 });
        let (sign, met) = match wanted {
            Wanted::AtLeast(least) => {
                (format!("≥ {}", number(least, if least < 100.0 { 2 } else { 0 })), value >= least)
            }
            Wanted::AtMost(most) => (format!("≤ {}", number(most, 0)), value <= most),
        };
        println!("| {what} {sign} | {} | {} |", spread(&values, digits), if met { "met" } else { "missed" });
    }
}

enum Wanted {
    AtLeast(f64),
    AtMost(f64),
}

fn goals(results: &Results) -> Vec<(&'static str, Wanted, Vec<f64>)> {
    use Wanted::{AtLeast, AtMost};
    let p99 = |peer| results.of(peer, 256, |m| m.loaded.percentile(99.0));
    let log = |connections| results.of('K', connections, |m| m.log_bytes);
    let other = |what: &str| results.others.get(what).cloned().unwrap_or_default();
    vec![
        ("K/L at 256", AtLeast(18.0), results.ratio(('K', 'L'), 256)),
        ("K/L at 64", AtLeast(10.0), results.ratio(('K', 'L'), 64)),
        ("K/R at 256", AtLeast(0.6), results.ratio(('K', 'R'), 256)),
        ("K/P at 256", AtLeast(1.0), results.ratio(('K', 'P'), 256)),
        ("K p99 at 256, ms", AtMost(25.0), p99('K')),
        ("E/R at 256", AtLeast(1.25), results.ratio(('E', 'R'), 256)),
        ("E/R at 64", AtLeast(1.0), results.ratio(('E', 'R'), 64)),
        ("E p99 at 256, ms", AtMost(15.0), p99('E')),
        ("K, a pool of 10,000 to one of 256", AtLeast(0.9), results.ratio(('K', 'k'), 256)),
        ("O/K at 256, the image's program to the ordinary build", AtLeast(0.95), results.ratio(('O', 'K'), 256)),
        ("U/E at 256, the image's program to the ordinary build", AtLeast(0.95), results.ratio(('U', 'E'), 256)),
        ("K seats/s, 100 in one request", AtLeast(50_000.0), other("K seats/s, 100 in one request")),
        ("K heartbeats/s, one by one", AtLeast(60_000.0), other("K heartbeats/s, one by one")),
        ("K heartbeats/s, 1,000 in one request", AtLeast(1_000_000.0), other("K heartbeats/s, 1,000 in one request")),
        ("K writes of SeatLedgers during heartbeats", AtMost(0.0), other("K writes of SeatLedgers during heartbeats")),
        ("K bytes of etcd's log for each cycle at 256", AtMost(100.0), log(256)),
        ("K bytes of etcd's log for each cycle at 16", AtMost(330.0), log(16)),
        (
            "K bytes/s of etcd's log under the budget",
            AtMost(500_000.0),
            other("K bytes/s of etcd's log under the budget, 256 connections"),
        ),
        ("K morning: granted", AtLeast(super::POOL as f64), other("K morning: granted")),
        ("K morning: refused while there were seats", AtMost(0.0), other("K morning: refused while there were seats")),
        ("K bytes of memory for each held seat", AtMost(200.0), other("K bytes of memory for each held seat")),
    ]
}
