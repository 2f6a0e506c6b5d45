//! Runs programs for tests: the daemon itself, and any other.
//!
//! Every wait is for something to happen (a line of output, the end of a process, a reply), has a
//! deadline, and says what was seen when that passes. Whatever was started ends with the test.

use std::{
    fs,
    io::{self, BufRead as _, BufReader, Read, Write as _},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{
        Mutex,
        mpsc::{self, Receiver},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

/// Longer than anything takes on a machine that compiles at the same time.
pub(crate) const DEADLINE: Duration = Duration::from_mins(1);

/// A running program and what it printed, both streams together.
#[derive(Debug)]
pub(crate) struct Program {
    name: String,
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Program {
    /// Starts it.
    pub(crate) fn start(command: &mut Command) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        let (sender, lines) = mpsc::channel();
        forward(child.stdout.take().unwrap(), sender.clone());
        forward(child.stderr.take().unwrap(), sender);
        Self { name, child, lines, seen: Vec::new() }
    }

    /// Waits for a line of output, and gives what follows `marker` in it.
    pub(crate) fn wait_for(&mut self, marker: &str) -> String {
        self.find(marker).unwrap_or_else(|| {
            panic!("{} never printed {marker:?}, only:\n{}", self.name, self.seen.join("\n"))
        })
    }

    /// The same for several, in whichever order they come.
    pub(crate) fn wait_for_each<const N: usize>(&mut self, markers: [&str; N]) -> [String; N] {
        markers.map(|marker| match self.seen.iter().find_map(|line| line.split_once(marker)) {
            Some((_, rest)) => rest.to_owned(),
            None => self.wait_for(marker),
        })
    }

    /// As `wait_for`; nothing when the program ends without it.
    pub(crate) fn find(&mut self, marker: &str) -> Option<String> {
        let deadline = Instant::now() + DEADLINE;
        while let Some(line) = self.next_line(deadline) {
            let found = line.split_once(marker).map(|(_, rest)| rest.to_owned());
            self.seen.push(line);
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// Waits until it has ended; how, and all that it printed.
    pub(crate) fn end(&mut self) -> End {
        let deadline = Instant::now() + DEADLINE;
        while let Some(line) = self.next_line(deadline) {
            self.seen.push(line);
        }
        // Its output ends when it does, or a moment before.
        End { status: self.child.wait().unwrap(), told: self.seen.join("\n") }
    }

    /// The next line of its output, which ends when it does.
    fn next_line(&mut self, deadline: Instant) -> Option<String> {
        match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => Some(line),
            Err(mpsc::RecvTimeoutError::Disconnected) => None,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                panic!("{} says no more, and goes on:\n{}", self.name, self.seen.join("\n"))
            }
        }
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(&mut self) {
        // An error says that it has ended already.
        drop(self.child.kill());
        self.child.wait().unwrap();
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.end().status
    }
}

/// How a program ended, and what it had printed.
#[derive(Debug)]
pub(crate) struct End {
    /// Its exit code, or the signal that ended it.
    pub(crate) status: ExitStatus,
    /// Both streams.
    pub(crate) told: String,
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

fn forward(stream: impl Read + Send + 'static, lines: mpsc::Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            // The test is over when nobody listens, and the program may still print.
            drop(lines.send(line));
        }
    });
}

/// Where a program is: on the PATH, or where `scripts/test` unpacks it.
pub(crate) fn find_program(names: &[&str]) -> PathBuf {
    let unpacked = unpacked_dir().join("usr/bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([unpacked])
        .flat_map(|dir| names.iter().map(move |name| dir.join(name)))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("there is no {}: run scripts/test, which fetches it", names[0]))
}

/// Where `scripts/test` unpacks packages.
pub(crate) fn unpacked_dir() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("debian")
}

/// The program under test.
pub(crate) fn antecede() -> Command {
    Command::new(env!("CARGO_BIN_EXE_antecede"))
}

/// A daemon on a free port, with its data in a directory that ends with the test.
#[derive(Debug)]
pub(crate) struct Daemon {
    dir: PathBuf,
    /// Its directory, where that ends with it.
    _owned: Option<TempDir>,
    program: Mutex<Program>,
    address: SocketAddr,
    token: Option<String>,
}

impl Daemon {
    /// One with the default configuration.
    pub(crate) fn start() -> Self {
        Self::with("")
    }

    /// One with this configuration; a `token_file = "token"` in it is made.
    pub(crate) fn with(config: &str) -> Self {
        Self::prepared(config, |_| {})
    }

    /// One with this configuration, in a directory that has been prepared for it.
    pub(crate) fn prepared(config: &str, prepare: impl FnOnce(&Path)) -> Self {
        let owned = TempDir::new().unwrap();
        let dir = owned.path().to_owned();
        prepare(&dir);
        fs::write(dir.join("antecede.toml"), config).unwrap();
        let token = config.contains("token_file").then(|| "only-for-tests".to_owned());
        if let Some(token) = &token {
            fs::write(dir.join("token"), token).unwrap();
        }
        let (program, address) = serve(&dir);
        Self { dir, _owned: Some(owned), program: Mutex::new(program), address, token }
    }

    /// One on a directory that outlives it, with an environment of the caller's; its end, when it
    /// does not come to listen.
    pub(crate) fn launch(dir: &Path, prepare: impl FnOnce(&mut Command)) -> Result<Self, End> {
        let mut command = command(dir);
        prepare(&mut command);
        let mut program = Program::start(&mut command);
        let Some(address) = program.find(LISTENING) else { return Err(program.end()) };
        let address = address.trim().parse().unwrap();
        let program = Mutex::new(program);
        Ok(Self { dir: dir.to_owned(), _owned: None, program, address, token: None })
    }

    /// One with this configuration, and these files beside it.
    pub(crate) fn with_files(config: &str, files: &[(&str, &str)]) -> Self {
        Self::prepared(config, |dir| {
            for (name, text) in files {
                fs::write(dir.join(name), text).unwrap();
            }
        })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The directory of its configuration and data.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(&self) {
        self.program.lock().unwrap().kill();
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn stop(&self) -> ExitStatus {
        self.program.lock().unwrap().terminate()
    }

    /// Asks it to read its configuration anew.
    pub(crate) fn hang_up(&self) {
        self.program.lock().unwrap().signal("HUP");
    }

    /// Waits for a line of its output, and gives what follows `marker` in it.
    pub(crate) fn wait_for(&self, marker: &str) -> String {
        self.program.lock().unwrap().wait_for(marker)
    }

    /// The same; nothing when the daemon ends without it.
    pub(crate) fn find(&self, marker: &str) -> Option<String> {
        self.program.lock().unwrap().find(marker)
    }

    /// Sends this token from now on.
    pub(crate) fn use_token(&mut self, token: &str) {
        self.token = Some(token.to_owned());
    }

    /// Waits until it ends by itself.
    pub(crate) fn end(&self) -> End {
        self.program.lock().unwrap().end()
    }

    /// Starts it again on the same data, on another port.
    pub(crate) fn restart(&mut self) {
        let (program, address) = serve(&self.dir);
        self.program = Mutex::new(program);
        self.address = address;
    }

    /// Runs a client command against it.
    pub(crate) fn run(&self, args: &[&str]) -> Output {
        let mut command = antecede();
        command.args(args).args(["--server", &format!("http://{}", self.address)]);
        if self.token.is_some() {
            command.arg("--token-file").arg(self.dir.join("token"));
        }
        let output = command.output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "antecede {}: {told}", args.join(" "));
        output
    }

    /// Posts JSON; an error when no whole reply came back.
    pub(crate) fn try_post(&self, path: &str, body: &str) -> io::Result<Reply> {
        self.exchange("POST", path, body)
    }

    /// Posts JSON that must be taken.
    pub(crate) fn post(&self, path: &str, body: &str) -> Value {
        self.try_post(path, body).unwrap().taken()
    }

    /// Asks; an error when no whole reply came back.
    pub(crate) fn try_get(&self, path: &str) -> io::Result<Reply> {
        self.exchange("GET", path, "")
    }

    /// Asks; the answer must be one.
    pub(crate) fn get(&self, path: &str) -> Value {
        self.try_get(path).unwrap().taken()
    }

    /// Asks again each time that more of the log is assessed, until the answer is as wanted.
    pub(crate) fn wait_until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + DEADLINE;
        let joint = if path.contains('?') { '&' } else { '?' };
        let mut seq = 0;
        loop {
            let left = deadline.saturating_duration_since(Instant::now()).as_secs();
            let waiting = format!("{path}{joint}wait_seq={seq}&timeout={left}s");
            let reply = self.try_get(&waiting).unwrap();
            assert!(reply.status != 503, "{path} never was as wanted, only {:#}", self.get(path));
            let answer = reply.taken();
            if wanted(&answer) {
                return answer;
            }
            seq += 1;
        }
    }

    /// Posts what a source sent, with its headers, each as `Name: value`.
    pub(crate) fn post_as_sent(&self, path: &str, headers: &[&str], body: &str) -> Reply {
        let lines: Vec<_> = headers.iter().flat_map(|header| [header, "\r\n"]).collect();
        self.exchange_with("POST", path, &lines.concat(), body).unwrap()
    }

    fn exchange(&self, method: &str, path: &str, body: &str) -> io::Result<Reply> {
        self.exchange_with(method, path, "", body)
    }

    /// HTTP/1.0: one exchange a connection, which ends with the reply.
    fn exchange_with(
        &self,
        method: &str,
        path: &str,
        headers: &str,
        body: &str,
    ) -> io::Result<Reply> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        let token = self.token.as_deref().unwrap_or_default();
        write!(stream, "{method} {path} HTTP/1.0\r\nContent-Length: {}\r\n", body.len())?;
        write!(stream, "{headers}Authorization: Bearer {token}\r\n\r\n{body}")?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes)?;
        Reply::parse(&bytes).ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))
    }
}

/// What the daemon prints before its address.
const LISTENING: &str = "listening on http://";

fn serve(dir: &Path) -> (Program, SocketAddr) {
    let mut program = Program::start(&mut command(dir));
    let address = program.wait_for(LISTENING);
    (program, address.trim().parse().unwrap())
}

fn command(dir: &Path) -> Command {
    let mut command = antecede();
    command.arg("serve").args(["--listen", "127.0.0.1:0"]);
    let config = dir.join("antecede.toml");
    if config.is_file() {
        command.arg("--config").arg(config);
    }
    command.arg("--data-dir").arg(dir.join("data"));
    command
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    /// The status code.
    pub(crate) status: u16,
    /// The lines before the body.
    pub(crate) head: String,
    /// The body.
    pub(crate) body: String,
}

impl Reply {
    /// `None`: it was cut off.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        let mut lines = head.lines();
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let length = lines.filter_map(|line| line.split_once(": ")).find_map(|(name, value)| {
            name.eq_ignore_ascii_case("content-length").then(|| value.parse().ok())?
        });
        (length == Some(body.len())).then(|| Self {
            status,
            head: head.to_owned(),
            body: body.to_owned(),
        })
    }

    /// The JSON of a 200.
    pub(crate) fn taken(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        serde_json::from_str(&self.body).unwrap()
    }
}
