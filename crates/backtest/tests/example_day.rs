//! The day that comes with the repository is the one that its program makes.

use std::path::Path;

use posthaste_backtest::Instance;

#[path = "../examples/example_day.rs"]
mod example_day;

#[test]
fn the_example_day_is_made_by_its_program_and_small() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/days/example");
    let made = example_day::day(1);
    let mut bytes = 0;
    for (name, text) in made.texts() {
        let kept = std::fs::read_to_string(directory.join(name)).unwrap();
        assert_eq!(kept, text, "{name}: make the day anew");
        bytes += kept.len();
    }
    assert!(bytes < 8_000, "{bytes} bytes");
    assert_eq!(Instance::read(&directory).unwrap(), made);
    assert_ne!(example_day::day(2), made, "the seed says which day it is");
}
