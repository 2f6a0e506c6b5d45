//! A real `git push` to a repository with the hook of `deploy/git/`: the push is a change.

use std::{
    env, fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use crate::harness::Daemon;

/// Runs git in a directory, as nobody in particular; what it printed.
fn git(dir: &Path, url: &str, args: &[&str]) -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_antecede")).parent().unwrap().to_owned();
    let path = env::var_os("PATH").unwrap_or_default();
    let path: Vec<PathBuf> = [program].into_iter().chain(env::split_paths(&path)).collect();
    let output = Command::new("git")
        .args(args)
        .current_dir(dir)
        .env("PATH", env::join_paths(path).unwrap())
        .env("ANTECEDE_URL", url)
        .env("HOME", dir)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .envs([("GIT_AUTHOR_NAME", "a builder"), ("GIT_AUTHOR_EMAIL", "builder@example.com")])
        .envs([("GIT_COMMITTER_NAME", "a builder"), ("GIT_COMMITTER_EMAIL", "builder@example.com")])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "git {}: {told}", args.join(" "));
    told
}

#[test]
fn a_push_to_the_branch_is_a_change_and_one_to_another_is_not() {
    let daemon = Daemon::start();
    let url = format!("http://{}", daemon.address());
    let dir = tempfile::tempdir().unwrap();
    let (server, work) = (dir.path().join("shop.git"), dir.path().join("work"));
    git(dir.path(), &url, &["init", "-q", "--bare", "-b", "main", server.to_str().unwrap()]);
    let hook = server.join("hooks/post-receive");
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/git/post-receive");
    fs::copy(shipped, &hook).unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    git(&server, &url, &["config", "antecede.service", "checkout"]);
    git(dir.path(), &url, &["init", "-q", "-b", "main", work.to_str().unwrap()]);
    fs::write(work.join("limit"), "20\n").unwrap();
    git(&work, &url, &["add", "limit"]);
    git(&work, &url, &["commit", "-q", "-m", "Raise the limit of the \"basket\""]);
    let server = server.to_str().unwrap();
    git(&work, &url, &["push", "-q", server, "main:topic"]);
    let told = git(&work, &url, &["push", "-q", server, "main"]);
    let said = told.split_whitespace().skip_while(|word| *word != "seq").nth(1);
    let seq = said.unwrap_or_else(|| panic!("{told}"));

    let changes = daemon.get(&format!("/api/v1/changes?wait_seq={seq}"));
    let changes = changes["changes"].as_array().unwrap();
    assert_eq!(changes.len(), 1, "{changes:#?}");
    assert_eq!(changes[0]["title"], "Raise the limit of the \"basket\"");
    assert_eq!(changes[0]["scope"]["service"], "checkout");
    assert_eq!(changes[0]["actor"], "a builder");

    daemon.kill();
    git(&work, &url, &["commit", "-q", "--allow-empty", "-m", "Nobody hears of it"]);
    let told = git(&work, &url, &["push", "-q", server, "main"]);
    assert!(told.contains("antecede was not told"), "{told}");
}
