//! When faults happen: times of many faults come and go, and clocks are wrong.

use std::collections::HashMap;
use std::time::Duration;

use chrono::TimeDelta;

use crate::faults::{Plan, Storm, lists};
use crate::run::Run;

/// How a world is run.
#[derive(Clone, Copy, Debug)]
pub enum Schedule {
    /// Nothing goes wrong.
    Calm,
    /// Anything may go wrong, as the seed decides.
    Storms(u64),
    /// Exactly this goes wrong.
    One(Plan),
}

impl Run {
    /// Lets storms come and go, and sometimes takes the operator away for a while.
    pub fn faults_come_and_go(&mut self, stormy: &mut u32, out: &mut u32) {
        if *out > 0 {
            *out -= 1;
            if *out == 0 {
                self.restart();
            }
            return;
        }
        if *stormy > 0 {
            *stormy -= 1;
            if *stormy == 0 {
                self.calm();
            }
            return;
        }
        match self.dice.below(20) {
            0..4 => {
                *stormy = u32::try_from(self.dice.between(1, 4)).unwrap_or(1);
                self.storm();
            }
            4 => {
                *out = u32::try_from(self.dice.between(1, 6)).unwrap_or(1);
                if crate::TALK.get() {
                    eprintln!("{} the operator is away", self.now());
                }
                self.kill();
            }
            5 => self.wrong_clock(),
            _ => {}
        }
    }

    fn storm(&mut self) {
        let requests = *self.dice.pick(&[20, 100, 300]);
        let watches = *self.dice.pick(&[0, 50, 200]);
        let storm = Storm { requests, watches, crashes: self.dice.percent(50) };
        let mut lags = HashMap::new();
        for (path, query) in lists() {
            if self.dice.percent(30) {
                lags.insert(format!("{path}?{query}"), Duration::from_millis(self.dice.below(3_000)));
            }
        }
        if self.dice.percent(30) {
            self.wrong_clock();
        }
        if crate::TALK.get() {
            eprintln!("{} {storm:?} {lags:?}", self.now());
        }
        let mut state = self.shared.lock();
        state.storm = Some(storm);
        state.lags = lags;
    }

    /// Sets the operator's clock wrong: by a little that does not matter, or by so much that the API server's clock
    /// counts.
    fn wrong_clock(&mut self) {
        let error = match self.dice.below(6) {
            0 => TimeDelta::zero(),
            1 => TimeDelta::seconds(self.dice.between(-200, 200)),
            2 => TimeDelta::hours(self.dice.between(-50, 50)),
            _ => TimeDelta::days(self.dice.between(-4_000, 4_000)),
        };
        if crate::TALK.get() {
            eprintln!("{} the operator's clock is ahead by {} s", self.now(), error.num_seconds());
        }
        self.shared.calendar.set_error(error);
        self.shared.lock().oracle.early = TimeDelta::minutes(5);
    }

    /// Makes everything work again.
    pub fn calm(&mut self) {
        self.shared.calendar.set_error(TimeDelta::zero());
        self.thaw();
        {
            let mut state = self.shared.lock();
            state.storm = None;
            state.lags.clear();
        }
    }
}
