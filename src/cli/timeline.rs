//! `seatkeeper timeline`: what will happen to a contract, without any cluster.

use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use std::path::PathBuf;

use super::documents;
use super::failure::Failure;
use super::output::{self, local, printable, say, warn};
use crate::domain::Instant;
use crate::domain::contract::Contract;
use crate::domain::contract::issuing::refused_seat_changes;
use crate::domain::contract::term::LAST_DATE;
use crate::domain::contract::timeline::{Event, MAX_TERMS, Moment, timeline};
use crate::domain::days::{day, from, last_day};

/// Prints what will happen to the Subscription in a file: keys, terms, deadlines, ends.
#[derive(Args)]
pub struct Arguments {
    /// YAML with the Subscription and its Plans.
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// How many terms to show.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_TERMS)))]
    terms: u32,
    /// The Subscription, if the file has several.
    #[arg(long, value_name = "NAME")]
    subscription: Option<String>,
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Format,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Format {
    Table,
    Json,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let contract = documents::read_contract(&arguments.file, arguments.subscription.as_deref())?;
    // Everything that the file says has been received counts, even if its day is still to come.
    let all_received = contract.begin(LAST_DATE);
    if !contract.is_approved(all_received) {
        warn("this order waits for approval (order.approvedOn); the timeline shows what happens once it is approved");
    }
    for fault in refused_seat_changes(&contract, all_received) {
        warn(&fault.to_string());
    }
    let moments = timeline(&contract, 1, arguments.terms, all_received);
    match arguments.output {
        Format::Json => {
            let events: Vec<Value> = moments.iter().map(|moment| event_json(&contract, moment)).collect();
            say(&format!("{}\n", output::json(&events)))
        }
        Format::Table => say(&printable(&table(&contract, &moments))),
    }
}

fn event_json(contract: &Contract, moment: &Moment) -> Value {
    let local = |at: Instant| Value::String(local(at, &contract.zone));
    let mut event = json!({"at": local(moment.at), "event": moment.event, "term": moment.term});
    for (name, at) in [("validFrom", moment.valid_from), ("expiresAt", moment.expires_at)] {
        if let Some(at) = at {
            event[name] = local(at);
        }
    }
    event
}

fn table(contract: &Contract, moments: &[Moment]) -> String {
    let when = |at: Instant| at.with_timezone(&contract.zone);
    let mut rows = vec![["LOCAL TIME", "DAY", "EVENT", "TERM", "WHAT IT MEANS"].map(str::to_owned)];
    rows.extend(moments.iter().map(|moment| {
        [
            when(moment.at).format("%Y-%m-%d %H:%M").to_string(),
            when(moment.at).format("%A").to_string(),
            moment.event.as_str().to_owned(),
            moment.term.to_string(),
            meaning(contract, moment),
        ]
    }));
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2), width(3)];
    let mut text = format!("{}/{}, times in {}\n\n", contract.namespace, contract.name, contract.zone);
    for row in &rows {
        for (cell, width) in row.iter().zip(widths) {
            text += &format!("{cell:width$}  ");
        }
        text += &format!("{}\n", row[4]);
    }
    text
}

fn meaning(contract: &Contract, moment: &Moment) -> String {
    let zone = &contract.zone;
    match moment.event {
        Event::NoticeDeadline => {
            format!("the last day to cancel for the end of this term was {}", last_day(moment.at, zone))
        }
        Event::KeyIssued => match (moment.valid_from, moment.expires_at) {
            (Some(start), Some(end)) => {
                format!("a key is issued for {} to {}", day(start, zone), last_day(end, zone))
            }
            (start, _) => {
                format!("a key without an end is issued, {}", start.map(|at| from(at, zone)).unwrap_or_default())
            }
        },
        Event::TermStarts if moment.term == 1 => "the contract begins".to_owned(),
        Event::TermStarts => "the next term begins with its key, without a gap".to_owned(),
        Event::Ends => "the contract ends".to_owned(),
        Event::GraceStarts => "everything keeps working, and the contract can still be renewed".to_owned(),
        Event::DemoStarts => match contract.lines.iter().map(|line| line.demo_seats).collect::<Vec<_>>()[..] {
            [seats] => format!("only the demo seats are left: {seats}"),
            _ => "only the demo seats are left".to_owned(),
        },
    }
}
