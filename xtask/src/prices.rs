//! `cargo xtask prices`: makes the table of prices that Tollgate ships with
//! (`crates/core/src/money/starting_prices.csv`) out of the price list inside the `litellm` package of PyPI.
//!
//! Facts are taken, not the file: the rates and sizes of the models that Tollgate's providers serve through the
//! endpoints that it knows. Numbers are shifted as decimals and never become floats. Models whose list says that they
//! are free are left out, for a preview that costs nothing today must not be free in a budget tomorrow.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use serde_json::value::RawValue;

use crate::command::Outcome;
use crate::workspace;

const TABLE: &str = "crates/core/src/money/starting_prices.csv";

/// The columns, as `tollgate_core::money::starting` reads them.
const COLUMNS: &str = "provider,model,service_tier,input,output,cached_input,cache_write,cache_write_1h,input_audio,\
    cached_audio,input_image,reasoning,output_audio,output_image,per_search,input_tokens_max,output_tokens_max,\
    tier_above,tier_input,tier_output,tier_cached_input,tier_cache_write,tier_cache_write_1h";

/// Names of rates in the list, in the order of the columns from `input` to `output_image`.
const RATES: [&str; 11] = [
    "input_cost_per_token",
    "output_cost_per_token",
    "cache_read_input_token_cost",
    "cache_creation_input_token_cost",
    "cache_creation_input_token_cost_above_1hr",
    "input_cost_per_audio_token",
    "cache_read_input_audio_token_cost",
    "input_cost_per_image_token",
    "output_cost_per_reasoning_token",
    "output_cost_per_audio_token",
    "output_cost_per_image_token",
];

/// Tiers of service with rates of their own in the list; the first is the ordinary one.
const SERVICE_TIERS: [&str; 3] = ["", "flex", "priority"];

/// Anthropic's speed and place, which the list has as factors on every rate.
const FACTORS: [&str; 2] = ["fast", "us"];

/// Options of `cargo xtask prices`.
#[derive(Args)]
pub(crate) struct Options {
    /// `model_prices_and_context_window_backup.json` out of the unpacked package (`pip download --no-deps litellm`).
    list: PathBuf,
    /// The package's version, for the table's first lines.
    #[arg(long)]
    version: String,
    /// The day it was taken, `YYYY-MM-DD`.
    #[arg(long)]
    date: String,
}

/// One model of the list: its members as they are written.
type Model = BTreeMap<String, Box<RawValue>>;

pub(crate) fn run(options: &Options) -> Outcome {
    let list = std::fs::read_to_string(&options.list)?;
    let models: BTreeMap<String, Model> = serde_json::from_str(&list)?;
    let mut rows = Vec::new();
    for (name, model) in &models {
        for service_tier in SERVICE_TIERS {
            rows.extend(row(name, model, service_tier)?);
        }
        rows.extend(multiplied(name, model)?);
    }
    rows.sort();
    rows.dedup();
    let mut table = format!(
        "# Prices of models in US dollars per 1,000,000 tokens; searches in US dollars each.\n\
         # Taken on {} from the price list inside the package litellm {} of PyPI, which names the providers'\n\
         # own price pages as its sources. Made by `cargo xtask prices`; do not edit.\n{COLUMNS}\n",
        options.date, options.version
    );
    for row in &rows {
        writeln!(table, "{row}")?;
    }
    std::fs::write(workspace::root().join(TABLE), table)?;
    println!("{TABLE}: {} prices", rows.len());
    Ok(())
}

/// The line of a model in a tier of service; `None` when it is not one that Tollgate serves, or has no price there.
fn row(name: &str, model: &Model, service_tier: &str) -> Outcome<Option<String>> {
    let word = |member: &str| model.get(member).map(|raw| raw.get().trim_matches('"')).unwrap_or_default();
    let (provider, mode) = (word("litellm_provider"), word("mode"));
    let served = match provider {
        "openai" => matches!(mode, "chat" | "responses" | "embedding"),
        "anthropic" => mode == "chat",
        "gemini" => matches!(mode, "chat" | "embedding" | "image_generation" | "audio_speech"),
        _ => false,
    };
    let name = name.strip_prefix("gemini/").unwrap_or(name);
    if !served || name.contains('/') || name.contains(',') {
        return Ok(None);
    }
    let suffix = if service_tier.is_empty() { String::new() } else { format!("_{service_tier}") };
    let ordinary = RATES.map(|member| per_million(word(member)));
    let rates = RATES.map(|member| per_million(word(&format!("{member}{suffix}"))));
    let [input, output, ..] = &rates;
    // An embedding may have no output; what has no input price, or costs nothing at all, has no price.
    if input.is_empty() || (input == "0" && matches!(output.as_str(), "" | "0")) {
        return Ok(None);
    }
    // A tier that does not name every rate would take the others for cheaper than they are. Thoughts are output.
    let is_silent = |(column, (own, ordinary)): (usize, (&String, &String))| {
        own.is_empty()
            && !ordinary.is_empty()
            && RATES.get(column) != Some(&"output_cost_per_reasoning_token")
    };
    if rates.iter().zip(&ordinary).enumerate().any(is_silent) {
        return Ok(None);
    }
    let tier = tier(name, model, &suffix)?;
    // Above a tier's bound the ordinary price holds, which is dearer than a cheap tier's.
    let loses_its_tier = tier.iter().all(String::is_empty) && above(name, model)?.is_some();
    if service_tier == "flex" && loses_its_tier {
        return Ok(None);
    }
    let mut cells = vec![provider.to_owned(), pattern(name), service_tier.to_owned()];
    cells.extend(rates.into_iter().zip(0..).map(|(rate, column)| match (rate.as_str(), column) {
        ("", 1) => "0".to_owned(),
        _ => rate,
    }));
    cells.push(search(model)?);
    cells.push(word("max_input_tokens").to_owned());
    cells.push(if mode == "embedding" { String::new() } else { word("max_output_tokens").to_owned() });
    cells.extend(tier);
    Ok(Some(cells.join(",")))
}

/// The lines of a model whose every rate is a factor of the ordinary one.
fn multiplied(name: &str, model: &Model) -> Outcome<Vec<String>> {
    let Some(raw) = model.get("provider_specific_entry") else { return Ok(Vec::new()) };
    let factors: BTreeMap<String, Box<RawValue>> = serde_json::from_str(raw.get())?;
    let Some(ordinary) = row(name, model, "")? else { return Ok(Vec::new()) };
    let mut rows = Vec::new();
    for service_tier in FACTORS {
        let Some(factor) = factors.get(service_tier) else { continue };
        let is_rate = |column: &str| {
            !matches!(column, "provider" | "model" | "service_tier" | "per_search" | "tier_above")
                && !column.ends_with("_max")
        };
        let cells = COLUMNS.split(',').zip(ordinary.split(',')).map(|(column, cell)| match column {
            "service_tier" => Ok(service_tier.to_owned()),
            column if is_rate(column) && !cell.is_empty() => product(cell, factor.get()),
            _ => Ok(cell.to_owned()),
        });
        rows.push(cells.collect::<Outcome<Vec<_>>>()?.join(","));
    }
    Ok(rows)
}

/// Two decimals multiplied, as a decimal.
fn product(one: &str, other: &str) -> Outcome<String> {
    let parts = |text: &str| -> Outcome<(u128, i32)> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        Ok((format!("{whole}{fraction}").parse()?, fraction.len() as i32))
    };
    let ((one, places), (other, more)) = (parts(one)?, parts(other)?);
    let product = one.checked_mul(other).ok_or("a product of prices is too large")?;
    Ok(shifted(&product.to_string(), -(places + more)))
}

/// A fine-tuned model has its organisation and id behind its name.
fn pattern(name: &str) -> String {
    if name.starts_with("ft:") { format!("{name}:*") } else { name.to_owned() }
}

/// The dearest search, in units each.
fn search(model: &Model) -> Outcome<String> {
    let Some(raw) = model.get("search_context_cost_per_query") else { return Ok(String::new()) };
    let sizes: BTreeMap<String, Box<RawValue>> = serde_json::from_str(raw.get())?;
    let mut costs: Vec<String> = sizes.values().map(|cost| shifted(cost.get(), 0)).collect();
    costs.sort_by(|one, two| number(one).total_cmp(&number(two)));
    Ok(costs.pop().unwrap_or_default())
}

/// To compare only; the text is what is written.
fn number(text: &str) -> f64 {
    text.parse().unwrap_or(f64::INFINITY)
}

/// The thousands of tokens that the model's tier begins above; the list has one tier a model at most.
fn above<'m>(name: &str, model: &'m Model) -> Outcome<Option<&'m str>> {
    const BEFORE: &str = "input_cost_per_token_above_";
    let aboves: Vec<&str> =
        model.keys().filter_map(|member| member.strip_prefix(BEFORE)?.strip_suffix("k_tokens")).collect();
    match aboves[..] {
        [] => Ok(None),
        [above] => Ok(Some(above)),
        _ => Err(format!("{name} has more than one tier; the table needs columns for it").into()),
    }
}

/// The cells of the tier above so much input; empty where there is none.
fn tier(name: &str, model: &Model, suffix: &str) -> Outcome<Vec<String>> {
    let none = || vec![String::new(); 6];
    let Some(above) = above(name, model)? else { return Ok(none()) };
    let rate = |member: &str| {
        let raw = model.get(&format!("{member}_above_{above}k_tokens{suffix}"));
        raw.map(|raw| per_million(raw.get())).unwrap_or_default()
    };
    let mut cells = vec![format!("{above}000"), rate(RATES[0]), rate(RATES[1])];
    cells.extend([rate(RATES[2]), rate(RATES[3]), rate(RATES[4])]);
    Ok(if cells[1].is_empty() || cells[2].is_empty() { none() } else { cells })
}

/// A price per token as one per million tokens.
fn per_million(text: &str) -> String {
    if matches!(text, "" | "null") { String::new() } else { shifted(text, 6) }
}

/// A JSON number times ten to the power of `places`, as a plain decimal.
fn shifted(text: &str, places: i32) -> String {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let point = whole.len() as i32 + exponent + places;
    let padded = if point <= 0 {
        format!("{}{digits}", "0".repeat(usize::try_from(1 - point).unwrap_or(0)))
    } else {
        let missing = usize::try_from(point).unwrap_or(0).saturating_sub(digits.len());
        format!("{digits}{}", "0".repeat(missing))
    };
    let (whole, fraction) = padded.split_at(usize::try_from(point.max(1)).unwrap_or(1));
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        whole => whole,
    };
    match fraction.trim_end_matches('0') {
        "" => whole.to_owned(),
        fraction => format!("{whole}.{fraction}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{product, shifted};

    #[test]
    fn prices_are_multiplied_as_decimals() {
        for (one, other, wanted) in
            [("6.25", "1.1", "6.875"), ("0.05", "2", "0.1"), ("10", "2.0", "20"), ("0.2", "1.1", "0.22")]
        {
            assert_eq!(product(one, other).ok().as_deref(), Some(wanted), "{one} times {other}");
        }
    }

    #[test]
    fn prices_are_shifted_as_decimals() {
        for (text, places, wanted) in [
            ("1.25e-06", 6, "1.25"),
            ("3e-08", 6, "0.03"),
            ("2.5E-7", 6, "0.25"),
            ("0.00001", 6, "10"),
            ("1.5e-05", 6, "15"),
            ("0.0", 6, "0"),
            ("0.035", 0, "0.035"),
            ("12", 0, "12"),
        ] {
            assert_eq!(shifted(text, places), wanted, "{text}");
        }
    }
}
