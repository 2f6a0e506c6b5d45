//! Feeds any bytes to a source, as if they had been posted to it.
//!
//! In: lines of headers, an empty line, and the body; a body alone where there is no empty line. The
//! fuzzer holds the bounds of time and memory, and this what every source keeps to.

pub use libfuzzer_sys;

use antecede::{
    event::{Time, time_of_micros},
    wire::{
        ITEMS_MAX,
        source::{Headers, Post, Source, Told},
    },
};

/// The time of receipt: a fixed one, so that a crash comes again.
const RECEIVED_MICROS: i64 = 1_795_737_600_000_000;

/// The target of a source.
#[macro_export]
macro_rules! target {
    ($source:literal) => {
        $crate::libfuzzer_sys::fuzz_target!(|data: &[u8]| $crate::feed($source, data));
    };
}

/// Posts these bytes to the source of this name, and shows what they became.
pub fn feed(source: &str, data: &[u8]) {
    let source = Source::named(source).expect("the target is of a source");
    let (headers, body) = parts(data);
    let received: Time = time_of_micros(RECEIVED_MICROS);
    let post = Post { headers: &headers, query: &[], body, received };
    let normalised = source.normalise(&post);
    if let Ok(normalised) = &normalised {
        let things = normalised.items.len() + normalised.rejected.len() + normalised.ignored.len();
        assert!(things <= ITEMS_MAX, "{things} things of one body");
    }
    let told = Told::from(normalised);
    serde_json::to_vec(&told).expect("what became of it can be shown");
}

fn parts(data: &[u8]) -> (Headers, &[u8]) {
    if let Some(body) = data.strip_prefix(b"\n") {
        return (Headers::default(), body);
    }
    let Some(end) = data.windows(2).position(|pair| pair == b"\n\n") else {
        return (Headers::default(), data);
    };
    let head = String::from_utf8_lossy(&data[..end]);
    let headers = head.lines().filter_map(|line| line.split_once(": "));
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    (headers, &data[end + 2..])
}
