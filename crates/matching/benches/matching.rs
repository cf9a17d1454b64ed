//! Benchmarks to come with the index.

fn main() {}
