//! Words that a change and a symptom share: `Upgrade Consul` and `ConsulServerCpuHigh`. How much one
//! says is how rare it is among the changes of this site, so that nobody has to list the words that
//! matter; only what says nothing anywhere is listed.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// A word, by its hash.
pub(super) type Word = u64;

/// Shorter words are mostly units and particles.
const LETTERS_LEAST: usize = 3;

/// Particles, and what alerts say of anything.
const SAYS_NOTHING: [&str; 88] = [
    "above",
    "after",
    "again",
    "alert",
    "all",
    "and",
    "any",
    "are",
    "before",
    "below",
    "between",
    "but",
    "can",
    "cannot",
    "change",
    "could",
    "critical",
    "did",
    "does",
    "down",
    "each",
    "error",
    "every",
    "fail",
    "failed",
    "failing",
    "failure",
    "far",
    "few",
    "first",
    "for",
    "from",
    "had",
    "has",
    "have",
    "high",
    "into",
    "its",
    "last",
    "less",
    "low",
    "many",
    "minute",
    "minutes",
    "missing",
    "more",
    "most",
    "much",
    "new",
    "none",
    "nor",
    "not",
    "now",
    "off",
    "one",
    "only",
    "other",
    "out",
    "over",
    "part",
    "per",
    "prod",
    "production",
    "rate",
    "service",
    "services",
    "several",
    "slow",
    "some",
    "staging",
    "still",
    "than",
    "that",
    "the",
    "their",
    "them",
    "then",
    "they",
    "this",
    "too",
    "two",
    "under",
    "very",
    "warning",
    "was",
    "when",
    "which",
    "with",
];

/// Endings that make another form of a word, with what stands in their place.
const ENDINGS: [(&str, &str); 5] = [("ies", "y"), ("ing", ""), ("ed", ""), ("es", ""), ("s", "")];

/// What is left of a word without its ending is at least so long.
const STEM_LEAST: usize = 4;

/// The words of a text, in order and in lower case, `CamelCase` taken apart, without endings.
pub(super) fn words(text: &str) -> Vec<String> {
    let parts = text.split(|c: char| !c.is_ascii_alphanumeric());
    let words = parts.flat_map(humps).filter(|word| word.len() >= LETTERS_LEAST);
    let words = words.map(str::to_lowercase).filter(|word| {
        !word.starts_with(|c: char| c.is_ascii_digit())
            && SAYS_NOTHING.binary_search(&word.as_str()).is_err()
    });
    words.map(|word| stem(&word)).collect()
}

/// The hashes of the words of a text, each once, in order.
pub(super) fn hashes<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Vec<Word> {
    let mut all: Vec<_> =
        texts.into_iter().flat_map(|text| words(text.as_ref())).map(|word| hash(&word)).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// The hash of one word.
pub(super) fn hash(word: &str) -> Word {
    let mut hasher = DefaultHasher::new();
    word.hash(&mut hasher);
    hasher.finish()
}

/// What is in both, which are in order.
pub(super) fn shared<'a>(one: &'a [Word], other: &'a [Word]) -> impl Iterator<Item = Word> + 'a {
    one.iter().copied().filter(|word| other.binary_search(word).is_ok())
}

fn stem(word: &str) -> String {
    let stems = ENDINGS.iter().filter_map(|(ending, instead)| {
        let stem = word.strip_suffix(ending)?;
        (stem.len() >= STEM_LEAST).then(|| format!("{stem}{instead}"))
    });
    stems.into_iter().next().unwrap_or_else(|| word.to_owned())
}

/// The parts of `KubeAPIDown`: a capital begins one where a small letter or a digit stands before it,
/// or where it begins a word after an abbreviation.
fn humps(word: &str) -> impl Iterator<Item = &str> {
    let bytes = word.as_bytes();
    let is = |at: usize, test: fn(&u8) -> bool| bytes.get(at).is_some_and(test);
    let begins = move |at: &usize| {
        is(*at, u8::is_ascii_uppercase)
            && (!is(at - 1, u8::is_ascii_uppercase) || is(at + 1, u8::is_ascii_lowercase))
    };
    let mut cuts: Vec<_> = (1..bytes.len()).filter(begins).collect();
    cuts.push(bytes.len());
    let starts = std::iter::once(0).chain(cuts.clone());
    let parts: Vec<_> = starts.zip(cuts).filter_map(|(from, to)| word.get(from..to)).collect();
    parts.into_iter()
}
