//! The lines of a SeatLedger: those of an entry of the journal, and those of a base.

use seatkeeper::domain::seats::hold::{Hold, Record};
use seatkeeper::domain::seats::line::{
    read_base, read_records, size_of_records, size_of_seat, write_base, write_records, write_takers,
};

pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(records) = read_records(&text) {
        let written = write_records(&records);
        assert_eq!(read_records(&written).as_ref(), Ok(&records), "records that are written read as they were");
        assert_eq!(size_of_records(&records), written.len());
        records.iter().for_each(|record| assert!(record.slot() < 10_000_000));
        if let Some(Record::Hold(hold)) = records.first() {
            assert_eq!(size_of_seat(&hold.occupant()) as usize, write_base([hold.occupant()]).len());
        }
    }
    let (lines, takers) = text.split_once("\n\n").unwrap_or((&text, ""));
    if let Ok(held) = read_base(&"agents".into(), lines, takers) {
        let occupants = || held.iter().map(Hold::occupant);
        let again = read_base(&"agents".into(), &write_base(occupants()), &write_takers(occupants()));
        assert_eq!(again.as_ref(), Ok(&held), "a base that is written reads as it was");
    }
}
