//! Faults under the daemon's files: a small library of ours in C (`faults/faults.c`), loaded into the
//! program that is tested, stands between it and the disk. So what is tested is the program itself.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use tempfile::TempDir;

/// When the program is killed, beside the call that alters or syncs a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum When {
    /// It is not made any more.
    Before,
    /// It was made, and its outcome was not heard of.
    After,
    /// Half of the bytes are written.
    Torn,
    /// Before it, and what was not synced is lost, or part of it.
    PowerLoss,
}

/// A directory for a daemon, what is on its disk, and the faults that the next program there meets.
#[derive(Debug)]
pub(crate) struct Disk {
    dir: TempDir,
}

impl Disk {
    /// An empty one.
    pub(crate) fn new() -> Self {
        let dir = TempDir::new().unwrap();
        fs::create_dir(dir.path().join("shadow")).unwrap();
        fs::create_dir(dir.path().join("switches")).unwrap();
        Self { dir }
    }

    /// What the daemon is started on.
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Where its stores are.
    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// A file of a store.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.data().join(name)
    }

    /// No faults yet; what is on the disk is remembered.
    pub(crate) fn faults(&self) -> Faults<'_> {
        let faults = Faults { disk: self, variables: Vec::new() };
        faults
            .with("FAULTS_DIR", self.data().to_str().unwrap())
            .with("FAULTS_SHADOW", self.dir.path().join("shadow").to_str().unwrap())
    }

    /// Something that goes on for as long as it is switched on.
    pub(crate) fn switch(&self, name: &str) -> Switch {
        Switch(self.dir.path().join("switches").join(name))
    }
}

/// A fault that comes and goes while the program runs.
#[derive(Debug)]
pub(crate) struct Switch(PathBuf);

impl Switch {
    pub(crate) fn on(&self) {
        fs::write(&self.0, "").unwrap();
    }

    pub(crate) fn off(&self) {
        fs::remove_file(&self.0).unwrap();
    }
}

/// What the program's files do to it.
#[derive(Clone, Debug)]
pub(crate) struct Faults<'a> {
    disk: &'a Disk,
    variables: Vec<(&'static str, String)>,
}

impl Faults<'_> {
    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.variables.push((name, value.to_owned()));
        self
    }

    /// Only files whose names begin so fail, and only their calls are counted.
    pub(crate) fn only(self, prefix: &str) -> Self {
        self.with("FAULTS_ONLY", prefix)
    }

    /// Only this file fails, and only its calls are counted.
    pub(crate) fn exactly(self, name: &str) -> Self {
        self.with("FAULTS_EXACTLY", name)
    }

    /// The program is killed at its `call`th call that alters or syncs a file, counted from 1.
    pub(crate) fn kill(self, call: usize, when: When) -> Self {
        let when = match when {
            When::Before => "before",
            When::After => "after",
            When::Torn => "torn",
            When::PowerLoss => "power",
        };
        self.with("FAULTS_KILL", &format!("{call} {when}"))
    }

    /// The program is killed before its `sync`th sync, counted from 1.
    pub(crate) fn kill_before_sync(self, sync: usize) -> Self {
        self.with("FAULTS_KILL", &format!("{sync} sync"))
    }

    /// When the switch `cut` is on, the power is cut at the next call that alters or syncs a file.
    pub(crate) fn cut_by_switch(self) -> Self {
        let switch = self.disk.switch("cut").0;
        self.with("FAULTS_CUT", switch.to_str().unwrap())
    }

    /// Decides what is lost with the power.
    pub(crate) fn seed(self, seed: u64) -> Self {
        self.with("FAULTS_SEED", &seed.to_string())
    }

    /// The `sync`th sync fails, counted from 1, and none after it.
    pub(crate) fn fail_sync(self, sync: usize) -> Self {
        self.with("FAULTS_EIO", &sync.to_string())
    }

    /// While the switch `full` is on, nothing can be written.
    pub(crate) fn full_by_switch(self) -> Self {
        let switch = self.disk.switch("full").0;
        self.with("FAULTS_FULL", switch.to_str().unwrap())
    }

    /// While the switch `held` is on, no sync returns.
    pub(crate) fn held_by_switch(self) -> Self {
        let switch = self.disk.switch("held").0;
        self.with("FAULTS_HELD", switch.to_str().unwrap())
    }

    /// Nothing may be opened for writing.
    pub(crate) fn sealed(self) -> Self {
        self.with("FAULTS_SEALED", "1")
    }

    /// Lets a program meet them.
    pub(crate) fn apply(&self, command: &mut Command) {
        command.env("LD_PRELOAD", library());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
    }
}

/// The library, compiled once by each process of tests.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/faults/faults.c");
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let own = dir.join(format!("faults-{}.so", std::process::id()));
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-pthread", "-o"])
            .args([&own, &source])
            .arg("-ldl")
            .output()
            .unwrap();
        assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
        // Under the name that all processes use it is whole at any time.
        let library = dir.join("faults.so");
        fs::rename(own, &library).unwrap();
        library
    })
}
