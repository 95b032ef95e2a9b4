//! Money without rounding errors: amounts, rates, what a model call used, what it costs at most, and
//! the table of prices.
//!
//! Everything is an integer. An amount of money is nano-units of its currency in 64 bits, credits are
//! whole; a rate is nano-units per million tokens. A cost is summed up exactly in 128 bits and rounded
//! up once, at its end. What cannot be priced is an error and never free (I11).
//!
//! | module | holds |
//! | --- | --- |
//! | [`amount`] | currencies, amounts, rates; decimals read and written exactly |
//! | [`usage`] | what one call used, whatever its provider calls it |
//! | [`price`] | a price as written, and compiled |
//! | [`cost`] | the cost of what was used; the most that a call can cost; what is affordable |
//! | [`table`] | prices by provider and model, with their times |
//! | [`starting`] | the prices that Tollgate ships with |
//! | [`prices`] | the prices of every tenant: its own, the operator's, those that Tollgate ships with |

pub mod amount;
pub mod cost;
pub mod price;
pub mod prices;
pub mod starting;
pub mod table;
pub mod usage;
