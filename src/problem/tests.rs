use super::*;

#[test]
fn a_place_is_counted_in_lines_and_characters() {
    let text = "# häßlich\nname = \"ä\" oops\n";
    let start = text.find("oops").unwrap();
    let problem = Problem::at("a.toml", text, start..start + 4, "no such thing").hint("leave it");
    assert_eq!(problem.to_string(), "a.toml:2:12: no such thing\n  hint: leave it");
    assert_eq!(Problem::of_file("b.toml", "is away").to_string(), "b.toml:1:1: is away");
}

#[test]
fn a_slip_of_the_pen_finds_its_word() {
    let known = ["window", "strength", "because", "same"];
    assert_eq!(nearest("windw", known), Some("window"));
    assert_eq!(nearest("Strenght", known), Some("strength"));
    assert_eq!(nearest("becuase", known), Some("because"));
    assert_eq!(nearest("sam", known), Some("same"));
    assert_eq!(nearest("colour", known), None);
    assert_eq!(nearest("", known), None);
}

#[test]
fn slips_are_counted_as_levenshtein_counts_them() {
    for (one, other, want) in
        [("", "", 0), ("", "abc", 3), ("abc", "", 3), ("kitten", "sitting", 3), ("flaw", "lawn", 2)]
    {
        assert_eq!(slips(one, other), want, "{one} {other}");
        assert_eq!(slips(other, one), want, "{other} {one}");
    }
}
