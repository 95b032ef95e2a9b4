//! The testkit's own promises: its servers start, write down what they saw, and misbehave as asked.

mod postgres;
mod upstream;
