//! What every CEL expression may use: functions, types and constants.

use cel::{Env, extensions};
use std::sync::{Arc, LazyLock};

use super::functions;

/// The prefix of the constants' names, which no expression can contain.
pub const CONSTANT: &str = "@constant";

static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::stdlib();
    // An error only means that a name is taken, which a test would show.
    let _ = env.add_extension(extensions::strings).and_then(|()| env.add_extension(functions::extension));
    Arc::new(env)
});

/// Returns the functions and types that expressions know.
pub fn environment() -> Arc<Env> {
    Arc::clone(&ENVIRONMENT)
}
