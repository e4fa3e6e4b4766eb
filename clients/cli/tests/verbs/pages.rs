//! `wavekv completions` and `wavekv man`: what is generated of the declarations of verbs and flags.

use std::fs;
use std::process::Command;

/// Verbs as `--help` lists them below a verb; none where it has none.
fn verbs_below(verb: &[String]) -> Vec<Vec<String>> {
    let help = run(&[verb, &["--help".to_owned()]].concat());
    let listed = help.split_once("Commands:\n");
    let listed = listed.map_or("", |(_, after)| after.split_once("\n\n").unwrap().0);
    let listed = listed.lines().filter_map(|line| {
        // What is further in goes on with the help of a verb.
        let line = line
            .strip_prefix("  ")
            .filter(|line| !line.starts_with(' '))?;
        line.split_whitespace().next()
    });
    let own = listed.filter(|name| *name != "help");
    own.map(|name| [verb, &[name.to_owned()]].concat())
        .collect()
}

/// Every verb and every verb below it.
fn all_verbs() -> Vec<Vec<String>> {
    let outer = verbs_below(&[]);
    let inner: Vec<_> = outer.iter().flat_map(|verb| verbs_below(verb)).collect();
    assert!(outer.len() > 8 && inner.len() > 12, "{outer:?} {inner:?}");
    [outer, inner].concat()
}

fn run(line: &[String]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_wavekv"))
        .args(line)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_verb_has_a_page_that_names_it_and_its_flags() {
    let folder = tempfile::tempdir().unwrap();
    let man = folder.path().join("man1");
    run(&["man".to_owned(), man.to_str().unwrap().to_owned()]);
    let page = |name: &str| fs::read_to_string(man.join(name)).unwrap();
    let whole = page("wavekv.1");
    assert!(whole.contains("Exit codes") && whole.contains("WAVEKV_ADDRESS"));
    for verb in all_verbs() {
        let name = format!("wavekv-{}.1", verb.join("-"));
        let page = page(&name);
        let last = verb.last().unwrap();
        assert!(page.contains(&format!("wavekv {}", verb.join(" "))) || page.contains(last));
    }
    // Roff has a hyphen of its own.
    assert!(page("wavekv-collections-ls.1").contains(r"\-\-min\-tokens"));
}

#[test]
fn every_shell_completes_every_verb() {
    let verbs = all_verbs();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(&["completions".to_owned(), shell.to_owned()]);
        for verb in &verbs {
            let last = verb.last().unwrap();
            assert!(script.contains(last.as_str()), "{shell}: {verb:?}");
        }
        assert!(script.contains("min-tokens"), "{shell}");
    }
    // Of the shells here, one reads what is made for it.
    let script = run(&["completions".to_owned(), "bash".to_owned()]);
    let read = Command::new("bash").args(["-n", "-c", &script]).status();
    assert!(read.unwrap().success());
}
