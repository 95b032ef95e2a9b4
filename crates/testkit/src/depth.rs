//! How long the slow tests may take, chosen by the one environment name `TOLLGATE_TEST_DEPTH`.
//! No other switch changes what a test does.

/// How deep a slow test goes. `cargo xtask test --quick` asks for [`Depth::Quick`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Seconds for the whole suite; fault tests run a few rounds only.
    Quick,
    /// What continuous integration runs. The default.
    Ci,
    /// As long as it takes: for a night or a release.
    Long,
}

impl Depth {
    /// Reads `TOLLGATE_TEST_DEPTH` (`quick`, `ci`, `long`; unset means `ci`).
    ///
    /// # Panics
    /// On any other value, so that a typing error does not silently test less.
    pub fn from_env() -> Self {
        match std::env::var("TOLLGATE_TEST_DEPTH").as_deref() {
            Err(_) | Ok("" | "ci") => Self::Ci,
            Ok("quick") => Self::Quick,
            Ok("long") => Self::Long,
            Ok(other) => panic!("TOLLGATE_TEST_DEPTH is `{other}`; it must be quick, ci or long"),
        }
    }

    /// The value for the depth asked for, e.g. rounds: `Depth::pick(3, 50, 1000)`.
    pub fn pick<T>(quick: T, ci: T, long: T) -> T {
        match Self::from_env() {
            Self::Quick => quick,
            Self::Ci => ci,
            Self::Long => long,
        }
    }
}
