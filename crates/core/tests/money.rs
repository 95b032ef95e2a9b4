//! Money: decimals exactly, costs against arithmetic on paper, bounds that hold, prices found.

use proptest::prelude::*;
use tollgate_core::money::{
    amount::{AMOUNT_MAX, Amount, AmountError, Currency, RATE_MAX, Rate},
    cost::{Ask, Unpriced},
    price::{Price, PriceSpec, Provider},
    starting::{STARTING_PRICES, starting_prices},
    table::{Origin, PriceTable, Wanted},
    usage::{TOKENS_MAX, Usage},
};

const USD: Currency = Currency::USD;
/// 2026-01-01T00:00:00Z.
const NEW_YEAR_US: i64 = 1_767_225_600_000_000;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Prices {
    price: Vec<PriceSpec>,
}

fn spec(lines: &str) -> PriceSpec {
    let base = "[[price]]\nprovider = 'openai'\nmodel = 'm'\n";
    toml::from_str::<Prices>(&format!("{base}{lines}")).unwrap().price.remove(0)
}

fn price(lines: &str) -> Price {
    Price::compile(&spec(lines)).unwrap()
}

fn wanted(provider: Provider, model: &str) -> Wanted<'_> {
    Wanted { provider, model, service_tier: None }
}

fn usd(text: &str) -> Amount {
    Amount::parse(text, USD).unwrap()
}

#[test]
fn decimals_are_read_and_written_exactly() {
    for (text, atoms, written) in [
        ("25.00", 25_000_000_000, "25.00"),
        ("25", 25_000_000_000, "25.00"),
        ("0.000000001", 1, "0.000000001"),
        ("-0.5", -500_000_000, "-0.50"),
        ("007.1230", 7_123_000_000, "7.123"),
        ("1000000000", AMOUNT_MAX, "1000000000.00"),
        ("1.0000000000000", 1_000_000_000, "1.00"),
    ] {
        let amount = Amount::parse(text, USD).unwrap();
        assert_eq!((amount.atoms(), amount.to_text(USD).as_str()), (atoms, written), "{text}");
    }
    let credits = Amount::parse("17", Currency::Credits).unwrap();
    assert_eq!((credits.atoms(), credits.to_text(Currency::Credits).as_str()), (17, "17"));
}

#[test]
fn what_is_no_amount_is_refused() {
    for text in ["", "-", ".5", "5.", "+1", "1e3", "1,5", " 1", "1 ", "0x1", "٣", "1.2.3", "--1", "NaN"] {
        assert!(matches!(Amount::parse(text, USD), Err(AmountError::NotDecimal(_))), "{text}");
    }
    assert!(matches!(Amount::parse("0.0000000001", USD), Err(AmountError::TooFine { .. })));
    assert!(matches!(Amount::parse("0.5", Currency::Credits), Err(AmountError::TooFine { .. })));
    for text in ["1000000000.000000001", "-1000000001", "9999999999999999999999999999999999999999"] {
        assert!(matches!(Amount::parse(text, USD), Err(AmountError::OutOfRange { .. })), "{text}");
    }
    assert!("-1".parse::<Rate>().is_err());
    for text in ["usd", "US", "USDX", "CREDITS", "Ü1"] {
        assert!(text.parse::<Currency>().is_err(), "{text}");
    }
    assert_eq!(Amount::MAX.checked_add(Amount::from_atoms(1).unwrap()), None);
}

#[test]
fn a_price_that_means_nothing_is_refused_with_its_fields() {
    let tiers = "input = '1'\noutput_tokens_max = 0\neffective_from = 'soon'\n\
                 [[price.tier]]\nabove = 5\ninput = '1'\n[[price.tier]]\nabove = 5\ninput = '1'\n";
    let errors = Price::compile(&spec(tiers)).unwrap_err();
    let fields: Vec<_> = errors.iter().map(|error| error.field.as_str()).collect();
    assert_eq!(fields, ["tier[1].above", "output_tokens_max", "effective_from"]);
    let base = "[[price]]\nprovider = 'openai'\nmodel = 'm'\n";
    for lines in ["input = 1.25", "inptu = '1'", "input = '1'\nouput = '2'", "output = '1'", "input = '-1'"] {
        assert!(toml::from_str::<Prices>(&format!("{base}{lines}")).is_err(), "{lines}");
    }
    let written = toml::to_string(&spec("input = '1.250'\ncached_input = '0.125'")).unwrap();
    assert!(written.contains("input = \"1.25\""), "{written}");
    assert_eq!(
        toml::from_str::<PriceSpec>(&written).unwrap(),
        spec("input = '1.25'\ncached_input = '0.125'")
    );
}

#[test]
fn known_calls_cost_what_the_price_list_says() {
    let gpt_4o = price("input = '2.50'\ncached_input = '1.25'\noutput = '10'");
    let usage = Usage { input: 1_000, cached_input: 400, output: 100, ..Usage::default() };
    // 600 * 2.5 + 400 * 1.25 + 100 * 10 = 3000 per million.
    assert_eq!(gpt_4o.cost(&usage).unwrap(), usd("0.003"));
    let sonnet =
        price("input = '3'\ncached_input = '0.3'\ncache_write = '3.75'\ncache_write_1h = '6'\noutput = '15'");
    let usage = Usage {
        input: 350,
        cached_input: 200,
        cache_write: 60,
        cache_write_1h: 40,
        output: 30,
        reasoning: 10,
        ..Usage::default()
    };
    // 50 * 3 + 200 * 0.3 + 60 * 3.75 + 40 * 6 + 30 * 15 = 1125 per million.
    assert_eq!(sonnet.cost(&usage).unwrap(), usd("0.001125"));
}

#[test]
fn a_cost_is_rounded_up_once() {
    // A third of a nano-dollar a token: three tokens are one nano-dollar, not three.
    let tiny = price("input = '0.000333333'\noutput = '0.000333333'");
    let cost = |input, output| tiny.cost(&Usage { input, output, ..Usage::default() }).unwrap().atoms();
    assert_eq!((cost(1, 0), cost(1, 1), cost(2, 1), cost(3, 1)), (1, 1, 1, 2));
    assert_eq!(cost(0, 0), 0, "an explicit zero is zero");
    let credits = price("currency = 'credits'\ninput = '1000000'\nper_request = '0.5'");
    assert_eq!(credits.cost(&Usage { input: 2, ..Usage::default() }).unwrap().atoms(), 3);
}

#[test]
fn the_whole_call_is_priced_by_its_tier() {
    let price = price(
        "input = '1.25'\noutput = '10'\n[[price.tier]]\nabove = 200000\ninput = '2.50'\noutput = '15'\n",
    );
    let cost = |input| price.cost(&Usage { input, output: 1_000_000, ..Usage::default() }).unwrap();
    assert_eq!(cost(200_000), usd("10.25"));
    assert_eq!(cost(200_001), usd("15.5000025"));
}

#[test]
fn what_nobody_priced_is_never_free() {
    let lines = "input = '1'";
    let searched = Usage { searches: 1, ..Usage::default() };
    assert_eq!(price(lines).cost(&searched), Err(Unpriced::Searches));
    let ask = Ask { searches: 1, choices: 1, ..Ask::default() };
    assert_eq!(price(lines).upper_bound(ask), Err(Unpriced::Searches));
    assert_eq!(price("input = '1'\nper_search = '0.01'").cost(&searched).unwrap(), usd("0.01"));
    let dear = price("input = '1000000'");
    let most = Usage { input: u64::MAX, cached_input: u64::MAX, ..Usage::default() };
    assert_eq!(dear.cost(&most), Err(Unpriced::TooMuch));
    assert!(PriceTable::default().lookup(wanted(Provider::OpenAi, "gpt-4o"), 0).is_none());
}

#[test]
fn own_prices_come_first_then_the_most_exact_then_the_latest() {
    let named = |model: &str, input: &str, from: &str| {
        spec(&format!("input = '{input}'\n{from}")).clone_with_model(model)
    };
    let mut table = PriceTable::default();
    let starting = [
        named("gpt-4o", "1", ""),
        named("gpt-4o-*", "2", ""),
        named("gpt-*", "3", ""),
        named("o3", "4", ""),
        named("o3", "5", "effective_from = '2026-01-01T00:00:00Z'"),
    ];
    table.add(Origin::Starting, &starting).unwrap();
    let input = |table: &PriceTable, model: &str, at| {
        table.lookup(wanted(Provider::OpenAi, model), at).map(|price| price.base.input.to_string())
    };
    for (model, at, wanted) in [
        ("gpt-4o", 0, Some("1.00")),
        ("gpt-4o-2024-08-06", 0, Some("2.00")),
        ("gpt-5", 0, Some("3.00")),
        ("o3", NEW_YEAR_US - 1, Some("4.00")),
        ("o3", NEW_YEAR_US, Some("5.00")),
        ("o3-mini", 0, None),
        ("GPT-4O", 0, None),
    ] {
        assert_eq!(input(&table, model, at).as_deref(), wanted, "{model} at {at}");
    }
    assert!(table.lookup(wanted(Provider::Gemini, "gpt-4o"), 0).is_none());
    table.add(Origin::Own, &[named("gpt-*", "9", "")]).unwrap();
    assert_eq!(input(&table, "gpt-4o", 0).as_deref(), Some("9.00"), "an own pattern means all of them");
    assert!(table.add(Origin::Own, &[named("", "1", "")]).is_err());
}

/// I9: a dearer tier of service never slips through at the ordinary price.
#[test]
fn tiers_of_service_have_their_own_prices() {
    let mut table = PriceTable::default();
    let rows = [
        spec("input = '1'").clone_with_model("gpt-*"),
        spec("input = '2'\nservice_tier = 'priority'").clone_with_model("gpt-5"),
        spec("input = '0.5'\nservice_tier = 'flex'").clone_with_model("gpt-5"),
    ];
    table.add(Origin::Own, &rows).unwrap();
    for (model, service_tier, price) in [
        ("gpt-5", None, Some("1.00")),
        ("gpt-5", Some("default"), Some("1.00")),
        ("gpt-5", Some("priority"), Some("2.00")),
        ("gpt-5", Some("flex"), Some("0.50")),
        ("gpt-4", Some("flex"), Some("1.00")),
        ("gpt-4", Some("priority"), None),
        ("gpt-5", Some("ultrafast"), None),
    ] {
        let found = table.lookup(Wanted { service_tier, ..wanted(Provider::OpenAi, model) }, 0);
        let found = found.map(|found| found.base.input.to_string());
        assert_eq!(found.as_deref(), price, "{model} {service_tier:?}");
    }
    let ordinary = spec("input = '1'\nservice_tier = 'default'");
    assert_eq!(Price::compile(&ordinary).unwrap_err()[0].field, "service_tier");
}

trait WithModel {
    fn clone_with_model(&self, model: &str) -> PriceSpec;
}

impl WithModel for PriceSpec {
    fn clone_with_model(&self, model: &str) -> PriceSpec {
        PriceSpec { model: model.to_owned(), ..self.clone() }
    }
}

#[test]
fn every_starting_price_is_read_and_known_ones_come_out() {
    let rows = starting_prices(STARTING_PRICES).unwrap();
    assert!(rows.len() > 150, "{} prices", rows.len());
    assert!(STARTING_PRICES.starts_with("# Prices of models in US dollars"), "date and source are missing");
    let mut table = PriceTable::default();
    table.add(Origin::Starting, &rows).unwrap();
    let of = |provider, model: &str| table.lookup(wanted(provider, model), NEW_YEAR_US).unwrap();
    let gpt_4o = of(Provider::OpenAi, "gpt-4o");
    assert_eq!(gpt_4o.base.input.to_string(), "2.50");
    assert_eq!(gpt_4o.base.output.to_string(), "10.00");
    assert_eq!(gpt_4o.base.cached_input.to_string(), "1.25");
    assert_eq!(gpt_4o.output_tokens_max, Some(16_384));
    let priority = Wanted { service_tier: Some("priority"), ..wanted(Provider::OpenAi, "gpt-4o") };
    assert_eq!(table.lookup(priority, NEW_YEAR_US).unwrap().base.input.to_string(), "4.25");
    let sonnet = of(Provider::Anthropic, "claude-sonnet-4-5");
    assert_eq!(sonnet.base.cache_write.to_string(), "3.75");
    assert_eq!(sonnet.base.cache_write_1h.to_string(), "6.00");
    assert_eq!(sonnet.per_search, "0.01".parse().ok());
    let fast = Wanted { service_tier: Some("fast"), ..wanted(Provider::Anthropic, "claude-opus-4-8") };
    assert_eq!(table.lookup(fast, NEW_YEAR_US).unwrap().base.output.to_string(), "50.00");
    let flash = of(Provider::Gemini, "gemini-2.5-flash");
    assert_eq!(
        (flash.base.input_audio.to_string(), flash.base.cached_audio.to_string()),
        ("1.00".into(), "0.10".into())
    );
    let pro = of(Provider::Gemini, "gemini-2.5-pro");
    assert_eq!(pro.rates(200_001).output.to_string(), "15.00");
    assert_eq!(of(Provider::OpenAi, "text-embedding-3-small").base.input.to_string(), "0.02");
    assert_eq!(of(Provider::OpenAi, "ft:gpt-4o-2024-08-06:acme::abc").base.input.to_string(), "3.75");
    for row in &rows {
        assert!(row.rates.input.nanos() + row.rates.output.nanos() > 0, "{} is free", row.model);
    }
}

/// A decimal on paper: its digits before nine places behind the point, most significant first.
fn schoolbook(parts: &[(u64, u64)]) -> Vec<u8> {
    let mut sum = vec![0u8; 64];
    for (tokens, rate) in parts {
        for (place_one, one) in tokens.to_string().bytes().rev().enumerate() {
            for (place_two, two) in rate.to_string().bytes().rev().enumerate() {
                let mut carry = (one - b'0') * (two - b'0');
                let mut place = place_one + place_two;
                while carry > 0 {
                    let digit = sum[place] + carry % 10;
                    sum[place] = digit % 10;
                    carry = carry / 10 + digit / 10;
                    place += 1;
                }
            }
        }
    }
    sum.reverse();
    sum
}

/// Cuts the last six digits off and rounds up.
fn rounded_up(digits: &[u8]) -> i128 {
    let (whole, rest) = digits.split_at(digits.len() - 6);
    let value = whole.iter().fold(0i128, |value, digit| value * 10 + i128::from(*digit));
    value + i128::from(rest.iter().any(|digit| *digit > 0))
}

prop_compose! {
    fn any_usage()(parts in proptest::array::uniform9(0u64..3_000_000), plain in 0u64..3_000_000, rest in 0u64..3_000_000)
        -> Usage {
        let [cached_input, cached_audio, cache_write, cache_write_1h, input_audio, input_image, reasoning, output_audio, output_image] = parts;
        Usage {
            input: plain + parts[..6].iter().sum::<u64>(),
            output: rest + parts[6..].iter().sum::<u64>(),
            cached_input, cached_audio, cache_write, cache_write_1h, input_audio, input_image,
            reasoning, output_audio, output_image,
            searches: 0, estimated: false,
        }
    }
}

prop_compose! {
    fn any_price()(rates in proptest::array::uniform11(0u64..200_000_000_000), tier in 0u64..10_000_000,
        dearer in 0u64..5, per_request in 0u64..1_000_000_000) -> Price {
        let rate = |nanos| Rate::from_nanos(nanos).unwrap();
        let [input, cached_input, cached_audio, cache_write, cache_write_1h, input_audio, input_image, output, reasoning, output_audio, output_image] = rates.map(rate);
        let mut price = self::price("input = '1'");
        price.base = tollgate_core::money::price::Rates {
            input, cached_input, cached_audio, cache_write, cache_write_1h, input_audio, input_image,
            output, reasoning, output_audio, output_image,
        };
        let mut above = price.base;
        above.output = rate(output.nanos() * dearer / 2);
        above.input = rate(input.nanos() * dearer / 2);
        price.tiers = vec![(tier, above)].into();
        price.per_request = rate(per_request);
        price
    }
}

proptest! {
    #[test]
    fn a_cost_is_what_paper_says(usage in any_usage(), price in any_price()) {
        let rates = if usage.input > price.tiers[0].0 { price.tiers[0].1 } else { price.base };
        let plain_in = usage.input - usage.cached_input - usage.cached_audio - usage.cache_write
            - usage.cache_write_1h - usage.input_audio - usage.input_image;
        let plain_out = usage.output - usage.reasoning - usage.output_audio - usage.output_image;
        let paper = schoolbook(&[
            (plain_in, rates.input.nanos()), (usage.cached_input, rates.cached_input.nanos()),
            (usage.cached_audio, rates.cached_audio.nanos()), (usage.cache_write, rates.cache_write.nanos()),
            (usage.cache_write_1h, rates.cache_write_1h.nanos()), (usage.input_audio, rates.input_audio.nanos()),
            (usage.input_image, rates.input_image.nanos()), (plain_out, rates.output.nanos()),
            (usage.reasoning, rates.reasoning.nanos()), (usage.output_audio, rates.output_audio.nanos()),
            (usage.output_image, rates.output_image.nanos()), (1_000_000, price.per_request.nanos()),
        ]);
        prop_assert_eq!(i128::from(price.cost(&usage).unwrap().atoms()), rounded_up(&paper));
        prop_assert!(usage.is_sound());
    }

    /// I9: what stays within the bound never costs more than it.
    #[test]
    fn nothing_within_the_bound_costs_more(usage in any_usage(), price in any_price(), choices in 1u32..4, spare in 0u64..1000) {
        let ask = Ask {
            input_tokens: usage.input + spare,
            output_tokens: usage.output.div_ceil(u64::from(choices)),
            choices,
            searches: 0,
        };
        prop_assert!(price.cost(&usage).unwrap() <= price.upper_bound(ask).unwrap());
    }

    #[test]
    fn affordable_output_is_the_inverse_of_the_bound(price in any_price(), input in 0u64..5_000_000, choices in 1u32..5, atoms in 0i64..2_000_000_000_000) {
        let money = Amount::from_atoms(atoms).unwrap();
        let ask = Ask { input_tokens: input, choices, ..Ask::default() };
        match price.affordable_output(ask, money).unwrap() {
            Some(output_tokens) => {
                let bound = price.upper_bound(Ask { output_tokens, ..ask }).unwrap();
                prop_assert!(bound <= money);
                if output_tokens < TOKENS_MAX {
                    let more = Ask { output_tokens: output_tokens + 1, ..ask };
                    prop_assert!(price.upper_bound(more).unwrap() > money);
                }
            }
            None => prop_assert!(price.upper_bound(ask).unwrap() > money),
        }
    }

    #[test]
    fn every_amount_and_rate_survives_its_text(atoms in -AMOUNT_MAX..=AMOUNT_MAX, nanos in 0..=RATE_MAX) {
        for currency in [USD, Currency::Credits] {
            let amount = Amount::from_atoms(atoms).unwrap();
            prop_assert_eq!(Amount::parse(&amount.to_text(currency), currency), Ok(amount));
        }
        let rate = Rate::from_nanos(nanos).unwrap();
        prop_assert_eq!(rate.to_string().parse(), Ok(rate));
    }
}
