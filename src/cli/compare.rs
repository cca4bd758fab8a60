//! `fluoroscope compare`: maps side by side.

use serde_json::json;

use super::args::CompareArgs;
use super::console::Console;
use super::failure::{DONE, Failure, INPUT};
use super::options::not_negative;
use super::table::{Align, Table};
use crate::compare::{CompareError, Comparison, Pair, compare, pair_up};
use crate::picture::read_array;

/// Compares two maps, or two folders of maps.
pub fn run(args: &CompareArgs, console: &Console) -> Result<u8, Failure> {
    let limit = args.limit.map(|limit| not_negative("--limit", limit)).transpose()?;
    let pairs = pair_up(&args.a, &args.b).map_err(|error| match error {
        CompareError::Kinds { .. } => Failure::usage(error),
        _ => Failure::input(error),
    })?;
    let widest = pairs.iter().map(|pair| pair.name.chars().count()).max().unwrap_or(0);
    let table = Table::new(&[
        ("map", Align::Left, widest.min(60)),
        ("shape", Align::Left, 14),
        ("difference", Align::Right, 10),
        ("rank correlation", Align::Right, 16),
    ]);
    if !args.json {
        console.line(&table.header());
    }
    let mut code = DONE;
    for pair in &pairs {
        match compared(pair) {
            Ok(found) => {
                console.line(&if args.json { object(pair, &found) } else { table.row(&cells(pair, &found)) });
                let difference = found.max_difference;
                if let Some(limit) = limit.filter(|limit| difference.is_nan() || difference > *limit) {
                    code = INPUT;
                    let message = format!("{}: difference {difference:.2e} exceeds --limit {limit:e}", pair.name);
                    console.failure(&Failure { code, message, hint: None });
                }
            }
            Err(failure) => {
                code = INPUT;
                console.failure(&failure);
            }
        }
    }
    Ok(code)
}

fn compared(pair: &Pair) -> Result<Comparison, Failure> {
    let read = |path| read_array(path).map_err(Failure::input);
    compare(&read(&pair.a)?, &read(&pair.b)?).map_err(|e| Failure::input(e).about(&pair.name))
}

fn cells(pair: &Pair, found: &Comparison) -> Vec<String> {
    let rank = found.rank_correlation.map_or_else(|| "-".to_owned(), |r| format!("{r:.6}"));
    vec![pair.name.clone(), format!("{:?}", found.shape), format!("{:.3e}", found.max_difference), rank]
}

fn object(pair: &Pair, found: &Comparison) -> String {
    // JSON has no infinity: a reference of zeros makes the difference null.
    let object = json!({
        "name": pair.name,
        "a": pair.a,
        "b": pair.b,
        "shape": found.shape,
        "max_difference": found.max_difference,
        "rank_correlation": found.rank_correlation,
    });
    object.to_string()
}
