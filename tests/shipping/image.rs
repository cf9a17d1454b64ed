//! The Dockerfile, read; and that image and compose are tried as they are.

use crate::{read, texts, yaml};

/// A stage: what it stands on, its name, and its instructions with what they say.
struct Stage {
    on: String,
    name: String,
    instructions: Vec<(String, String)>,
}

fn stages(text: &str) -> Vec<Stage> {
    let mut stages: Vec<Stage> = Vec::new();
    let joined = text.replace("\\\n", " ");
    for line in joined.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        if word == "FROM" {
            let (on, name) = rest.split_once(" AS ").unwrap_or((rest, ""));
            stages.push(Stage { on: on.to_owned(), name: name.to_owned(), instructions: Vec::new() });
        } else if let Some(stage) = stages.last_mut() {
            stage.instructions.push((word.to_owned(), rest.trim().to_owned()));
        }
    }
    stages
}

/// What is wrong with the Dockerfile.
fn problems(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let stages = stages(text);
    for stage in &stages {
        if stage.instructions.iter().any(|(word, _)| word == "ADD") {
            wrong.push(format!("{}: ADD takes from anywhere", stage.name));
        }
        if stage.on.ends_with(":latest") || (stage.on.contains('/') && !stage.on.contains(':')) {
            wrong.push(format!("{} stands on anything", stage.name));
        }
    }
    for name in ["try", "final"] {
        let Some(stage) = stages.iter().find(|stage| stage.name == name) else {
            wrong.push(format!("there is no stage {name}"));
            continue;
        };
        let mut must = |word: &str, says: &str| {
            if !stage.instructions.iter().any(|(there, said)| there == word && said.contains(says)) {
                wrong.push(format!("{name}: no {word} {says}"));
            }
        };
        must("USER", "65532:65532");
        must("HEALTHCHECK", r#"CMD ["/usr/local/bin/posthaste", "health"]"#);
        must("ENTRYPOINT", r#"["/usr/local/bin/posthaste"]"#);
        must("STOPSIGNAL", "SIGTERM");
        must("COPY", "--from=program");
    }
    let last = stages.last().expect("stages");
    if last.name != "final" || last.instructions.iter().any(|(word, _)| word == "RUN") {
        wrong.push("what is built without a word is not the small one".to_owned());
    }
    if !text.contains("\nARG BASE=minimal\n") || !text.contains("FROM scratch AS minimal") {
        wrong.push("it does not stand on nothing without a word".to_owned());
    }
    wrong
}

#[test]
fn the_image_is_small_runs_as_nobody_and_knows_its_health() {
    assert_eq!(problems(&read("docker/Dockerfile")), Vec::<String>::new());
}

#[test]
fn a_dockerfile_that_is_worse_is_found() {
    let text = read("docker/Dockerfile");
    for (line, worse) in [
        ("USER 65532:65532\n", ""),
        ("HEALTHCHECK --interval=5s --timeout=5s --start-period=60s --retries=3 CMD", "# CMD"),
        ("CMD [\"/usr/local/bin/posthaste\", \"health\"]", "CMD /usr/local/bin/posthaste health"),
        ("STOPSIGNAL SIGTERM\n", ""),
        ("COPY --from=libraries /minimal/ /", "ADD https://example.org/libraries.tar /"),
        ("ARG BASE=minimal", "ARG BASE=docker.io/library/debian:bookworm"),
        ("docker.io/library/debian:${DEBIAN}-slim", "docker.io/library/debian"),
    ] {
        assert!(text.contains(line), "{line}");
        assert!(!problems(&text.replace(line, worse)).is_empty(), "{line}");
    }
    assert!(!problems(&format!("{text}\nFROM debian:bookworm AS last\nRUN true\n")).is_empty());
}

/// The flags of `docker/try-image` are what compose says: what is tried is what runs.
#[test]
fn hardened_as_it_is_tried() {
    let file = yaml("docker/compose.production.yml");
    let (server, tried) = (&file["services"]["server-a"], read("docker/try-image"));
    let flags = [
        format!("--user {}", server["user"].as_str().expect("a user")),
        format!("--memory {}", server["mem_limit"].as_str().expect("a limit")),
        format!("--pids-limit {}", server["pids_limit"]),
        format!("--cap-drop={}", texts(&server["cap_drop"])[0]),
        "--security-opt=no-new-privileges".to_owned(),
        "--read-only --read-only-tmpfs=false".to_owned(),
    ];
    for flag in flags {
        assert!(tried.contains(&flag), "{flag}");
    }
    assert!(server["tmpfs"].is_null() && !tried.contains("--tmpfs"), "it needs no place to write to");
}

#[test]
fn the_compiler_is_the_one_that_the_project_asks_for() {
    let asked = read("Cargo.toml");
    let version = asked.lines().find_map(|line| line.strip_prefix("rust-version = ")).expect("a version");
    let dockerfile = read("docker/Dockerfile");
    assert!(dockerfile.contains(&format!("ARG RUST={}\n", version.trim_matches('"'))), "{version}");
    assert!(
        asked.contains("[profile.dist]") && dockerfile.contains("cargo build --profile dist --locked"),
        "what ships"
    );
}
