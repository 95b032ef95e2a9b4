//! What an attempt is charged, from what was agreed before it and what was read of its answer. Pure.
//!
//! Keeps I9 and I11: what an answer says is charged exactly; what it does not say, or not to its end, is
//! charged as it was reserved, for the provider may have produced, and thought, all of that.

use std::sync::Arc;

use tollgate_core::{
    id::TenantId,
    money::{
        amount::{Amount, Currency},
        cost::Ask,
        price::{Price, Provider, is_ordinary},
        prices::Prices,
        table::Wanted,
        usage::{TOKENS_MAX, Usage},
    },
};
use tollgate_journal::Tokens;

use crate::llm::{api::Api, usage::Reading};

/// What was agreed for one attempt before it was sent.
pub(crate) struct Terms {
    pub(crate) api: Api,
    /// Whose prices count.
    pub(crate) provider: Provider,
    /// The model that is asked.
    pub(crate) model: Box<str>,
    /// The tier of service that is asked for.
    pub(crate) service_tier: Option<Box<str>>,
    pub(crate) tenant: TenantId,
    /// When it was admitted: prices and periods are of then.
    pub(crate) wall_us: i64,
    pub(crate) prices: Arc<Prices>,
    pub(crate) price: Option<Arc<Price>>,
    /// The most that it may use, as it was sent; `None` when that is not known.
    pub(crate) ask: Option<Ask>,
    /// The most that it can read.
    pub(crate) input_bound: u64,
    /// What was reserved for it; `None` where nothing had to be.
    pub(crate) reserved: Option<Amount>,
}

/// Whether an answer with this status says that the model was not asked, or failed: what providers take
/// nothing for. 408 and 504 come from proxies in front of the model, which may have produced its answer.
pub(crate) const fn is_free(status: u16) -> bool {
    status >= 400 && !matches!(status, 408 | 504)
}

/// What an attempt is charged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Charged {
    pub(crate) tokens: Tokens,
    /// `None` when it has no price.
    pub(crate) cost: Option<(Amount, Currency)>,
    /// Whether anything of it was counted or bounded here.
    pub(crate) is_estimated: bool,
}

impl Charged {
    /// All tokens, for limits and quotas.
    pub(crate) fn total_tokens(&self) -> u64 {
        self.tokens.input.saturating_add(self.tokens.output)
    }

    /// What it costs; nothing when it has no price.
    pub(crate) fn amount(&self) -> Amount {
        self.cost.map_or(Amount::ZERO, |(amount, _)| amount)
    }
}

impl Terms {
    /// What an answer is charged.
    pub(crate) fn charge(&self, reading: &Reading) -> Charged {
        let Some(usage) = reading.usage.filter(|usage| !usage.estimated) else {
            return self.bounded(reading);
        };
        let tokens = tokens_of(&usage);
        let Some(asked) = &self.price else { return Charged { tokens, ..Charged::default() } };
        let (price, is_known) = match self.answered_price(reading) {
            Some(price) => (price, true),
            None => (Arc::clone(asked), false),
        };
        match price.cost(&usage) {
            Ok(cost) if is_known => {
                Charged { tokens, cost: Some((cost, price.currency)), is_estimated: false }
            }
            // A tier or a fee that nobody said the price of.
            Ok(cost) => Charged {
                tokens,
                cost: Some((cost.max(self.reserved.unwrap_or_default()), price.currency)),
                is_estimated: true,
            },
            Err(_) => {
                let without_fees = price.cost(&Usage { searches: 0, ..usage }).unwrap_or_default();
                let cost = without_fees.max(self.reserved.unwrap_or_default());
                Charged { tokens, cost: Some((cost, price.currency)), is_estimated: true }
            }
        }
    }

    /// What a free answer is charged ([`is_free`]): nothing, unless it says that something was used.
    pub(crate) fn charge_error(&self, reading: &Reading) -> Charged {
        if reading.usage.is_some() { self.charge(reading) } else { Charged::default() }
    }

    /// What an attempt is charged that nothing is known of.
    pub(crate) fn unknown(&self) -> Charged {
        self.bounded(&Reading::default())
    }

    /// What was reserved, and never less than what is known.
    fn bounded(&self, reading: &Reading) -> Charged {
        let input = self.ask.map_or(self.input_bound, |ask| ask.input_tokens);
        let output = self
            .ask
            .map_or(TOKENS_MAX, |ask| ask.output_tokens.saturating_mul(u64::from(ask.choices.max(1))));
        let usage = reading.or_estimate(input, output);
        let tokens = tokens_of(&usage);
        let cost = self.price.as_ref().map(|price| {
            let least = price.cost(&usage).unwrap_or_default();
            (self.reserved.unwrap_or_default().max(least), price.currency)
        });
        Charged { tokens, cost, is_estimated: true }
    }

    /// The price of the tier that it was served in; `None` when that tier has none, or another currency.
    fn answered_price(&self, reading: &Reading) -> Option<Arc<Price>> {
        let asked = self.price.as_ref()?;
        let answered = reading.service_tier.as_deref();
        let same = match (answered, self.service_tier.as_deref()) {
            (None, _) => true,
            (Some(answered), Some(asked)) => answered == asked,
            (Some(answered), None) => is_ordinary(answered),
        };
        // Anthropic's speed and place are tiers here, and its answers do not name them.
        let says_all = self.provider == Provider::OpenAi;
        if same || answered.is_some_and(|answered| is_ordinary(answered) && !says_all) {
            return Some(Arc::clone(asked));
        }
        let wanted = Wanted { provider: self.provider, model: &self.model, service_tier: answered };
        let price = self.prices.price(self.tenant, wanted, self.wall_us)?;
        (price.currency == asked.currency).then_some(price)
    }
}

fn tokens_of(usage: &Usage) -> Tokens {
    Tokens {
        input: usage.input,
        cached_input: usage.cached_input.saturating_add(usage.cached_audio),
        cache_write: usage.cache_write.saturating_add(usage.cache_write_1h),
        output: usage.output,
        reasoning: usage.reasoning,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tollgate_core::money::price::PriceSpec;

    /// 1,000 atoms a token read, 2,000 a token produced; `priority` costs ten times as much.
    fn terms(reserved: Option<i64>) -> Terms {
        let spec = |tier: &str, input: &str, output: &str| -> PriceSpec {
            let tier = if tier.is_empty() { String::new() } else { format!("service_tier = '{tier}'\n") };
            let text =
                format!("provider = 'openai'\nmodel = 'm'\n{tier}input = '{input}'\noutput = '{output}'");
            toml::from_str(&text).unwrap()
        };
        let written = vec![spec("", "1", "2"), spec("priority", "10", "20")];
        let prices = Arc::new(Prices::compile(&[(None, written)].into()).unwrap());
        let wanted = Wanted { provider: Provider::OpenAi, model: "m", service_tier: None };
        let price = prices.price(TenantId(1), wanted, 0);
        assert!(price.is_some());
        Terms {
            api: Api::OpenAiChat,
            provider: Provider::OpenAi,
            model: "m".into(),
            service_tier: None,
            tenant: TenantId(1),
            wall_us: 0,
            prices,
            price,
            ask: Some(Ask { input_tokens: 100, output_tokens: 50, choices: 2, searches: 0 }),
            input_bound: 100,
            reserved: reserved.and_then(Amount::from_atoms),
        }
    }

    fn used(input: u64, output: u64) -> Option<Usage> {
        Some(Usage { input, output, ..Usage::default() })
    }

    fn cost(charged: &Charged) -> (i64, bool) {
        (charged.amount().atoms(), charged.is_estimated)
    }

    #[test]
    fn what_an_answer_says_is_charged_exactly_and_an_explicit_zero_is_zero() {
        let terms = terms(Some(300_000));
        let whole = |usage| Reading { usage, is_whole: true, ..Reading::default() };
        assert_eq!(cost(&terms.charge(&whole(used(10, 5)))), (20_000, false));
        assert_eq!(cost(&terms.charge(&whole(used(0, 0)))), (0, false));
    }

    #[test]
    fn what_is_not_said_or_cut_off_is_charged_as_reserved() {
        let terms = terms(Some(300_000));
        let cut = Usage { estimated: true, ..used(10, 5).unwrap() };
        assert_eq!(cost(&terms.charge(&Reading { usage: Some(cut), ..Reading::default() })), (300_000, true));
        assert_eq!(cost(&terms.charge(&Reading::default())), (300_000, true));
        assert_eq!(cost(&terms.unknown()), (300_000, true));
        // More is known to be spent than was reserved.
        let more = Usage { estimated: true, ..used(400, 5).unwrap() };
        let reading = Reading { usage: Some(more), ..Reading::default() };
        assert_eq!(cost(&terms.charge(&reading)), (410_000, true));
    }

    #[test]
    fn without_a_reservation_what_is_not_said_is_counted() {
        let reading = Reading { text_bytes: 7, ..Reading::default() };
        let charged = terms(None).charge(&reading);
        assert_eq!((charged.tokens.input, charged.tokens.output), (100, 7));
        assert_eq!(cost(&charged), (114_000, true));
    }

    #[test]
    fn errors_cost_nothing_unless_they_say_so() {
        let terms = terms(Some(300_000));
        assert_eq!(terms.charge_error(&Reading::default()), Charged::default());
        let reading = Reading { usage: used(1, 0), is_whole: true, ..Reading::default() };
        assert_eq!(cost(&terms.charge_error(&reading)), (1_000, false));
    }

    #[test]
    fn the_tier_that_answered_has_its_own_price_and_one_without_price_is_not_cheap() {
        let answered = |tier: &str| Reading {
            usage: used(10, 0),
            is_whole: true,
            service_tier: Some(tier.to_owned()),
            ..Reading::default()
        };
        let terms = terms(Some(300_000));
        assert_eq!(cost(&terms.charge(&answered("default"))), (10_000, false));
        assert_eq!(cost(&terms.charge(&answered("priority"))), (100_000, false));
        assert_eq!(cost(&terms.charge(&answered("flex"))), (10_000, false));
        assert_eq!(cost(&terms.charge(&answered("unheard-of"))), (300_000, true));
    }

    #[test]
    fn answers_of_proxies_in_front_of_a_model_are_not_free() {
        let free = [400, 401, 404, 429, 500, 502, 503, 529];
        assert!(free.into_iter().all(is_free) && ![200, 408, 504].into_iter().any(is_free));
    }

    #[test]
    fn what_has_no_price_still_has_its_tokens() {
        let terms = Terms { price: None, ..terms(None) };
        let reading = Reading { usage: used(10, 5), is_whole: true, ..Reading::default() };
        let charged = terms.charge(&reading);
        assert_eq!((charged.total_tokens(), charged.cost), (15, None));
    }
}
