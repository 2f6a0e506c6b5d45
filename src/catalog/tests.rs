use proptest::prelude::*;

use super::*;

fn catalog(edges: &[(&str, &[&str])]) -> Catalog {
    let service = |used: &[&str]| Service {
        tier: None,
        depends_on: used.iter().map(|name| (*name).to_owned()).collect(),
    };
    Catalog::new(edges.iter().map(|(name, used)| ((*name).to_owned(), service(used))).collect())
}

fn parse(text: &str) -> Result<Catalog, String> {
    Catalog::parse(&[("catalog.toml".to_owned(), text.to_owned())])
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

#[test]
fn the_shortest_way_counts() {
    let catalog = catalog(&[("web", &["api", "dns"]), ("api", &["db", "dns"]), ("db", &["disk"])]);
    assert_eq!(catalog.hops("web", "web"), Some(0));
    assert_eq!(catalog.hops("web", "dns"), Some(1));
    assert_eq!(catalog.hops("web", "disk"), Some(3));
    assert_eq!(catalog.hops("disk", "web"), None, "dependencies lead one way");
    assert_eq!(catalog.hops("web", "unheard-of"), None);
    assert_eq!(catalog.hops("unheard-of", "unheard-of"), Some(0), "same is same");
}

#[test]
fn ways_that_are_too_long_say_nothing() {
    let names: Vec<String> = (0..=HOPS_MAX + 1).map(|place| format!("s{place}")).collect();
    let chain = names.windows(2).map(|pair| {
        let depends_on = BTreeSet::from([pair[1].clone()]);
        (pair[0].clone(), Service { tier: None, depends_on })
    });
    let catalog = Catalog::new(chain.collect());
    assert_eq!(catalog.hops("s0", &names[HOPS_MAX]), Some(HOPS_MAX));
    assert_eq!(catalog.hops("s0", &names[HOPS_MAX + 1]), None);

    let mut wide = catalog.services().clone();
    let last = wide.get_mut(&names[HOPS_MAX - 1]).unwrap();
    last.depends_on.insert("a-sibling".to_owned());
    assert_eq!(
        Catalog::new(wide).hops("s0", &names[HOPS_MAX]),
        Some(HOPS_MAX),
        "all siblings count"
    );
}

#[test]
fn a_circle_of_dependencies_is_walked_once() {
    let catalog = catalog(&[("a", &["b"]), ("b", &["c"]), ("c", &["a"])]);
    assert_eq!(catalog.hops("a", "c"), Some(2));
    assert_eq!(catalog.hops("c", "b"), Some(2));
}

#[test]
fn a_service_that_is_only_depended_on_has_an_entry() {
    let catalog = catalog(&[("web", &["api"])]);
    assert_eq!(catalog.services().get("api"), Some(&Service::default()));
}

#[test]
fn what_everybody_stands_on_is_substrate_even_where_no_tier_says_so() {
    let catalog = catalog(&[
        ("web", &["api"]),
        ("shop", &["api"]),
        ("mail", &["cluster"]),
        ("api", &["cluster"]),
        ("cluster", &["network"]),
    ]);
    assert!(catalog.is_substrate("cluster"), "four stand on it");
    assert!(catalog.is_substrate("network"), "all stand on it, most of them not directly");
    assert!(!catalog.is_substrate("api"), "two are not many");
    assert!(!catalog.is_substrate("web"));
    assert!(!catalog.is_substrate("unheard-of"));
}

#[test]
fn three_users_among_a_hundred_do_not_make_a_substrate() {
    let mut edges: Vec<(String, Service)> =
        (0..100).map(|place| (format!("other{place}"), Service::default())).collect();
    for user in ["a", "b", "c"] {
        let depends_on = BTreeSet::from(["shared".to_owned()]);
        edges.push((user.to_owned(), Service { tier: None, depends_on }));
    }
    assert!(!Catalog::new(edges.into_iter().collect()).is_substrate("shared"));
}

#[test]
fn a_tier_that_is_said_decides() {
    let catalog = parse(
        r#"
        [[service]]
        name = "api"
        tier = "service"
        [[service]]
        name = "queue"
        tier = "platform"
        [[service]]
        name = "a"
        depends_on = "api"
        [[service]]
        name = "b"
        depends_on = ["api"]
        [[service]]
        name = "c"
        depends_on = ["api"]
        "#,
    )
    .unwrap();
    assert!(!catalog.is_substrate("api"));
    assert!(catalog.is_substrate("queue"));
}

#[test]
fn every_problem_of_a_catalogue_is_told_with_its_place() {
    let problems = parse(
        "[[service]]\nname = \"api\"\ntier = \"platfrom\"\ndepends_on = [\"db\", \"api\"]\n\
         [[service]]\nname = \"api\"\ndepend_on = [\"x\"]\n[[service]]\ntier = 3\n[sevice]\n",
    )
    .unwrap_err();
    assert_eq!(
        problems,
        "catalog.toml:3:8: there is no tier \"platfrom\"\n  hint: did you mean \"platform\"?\n\
         catalog.toml:4:21: the service \"api\" depends on itself\n  \
         hint: leave it out of its own `depends_on`\n\
         catalog.toml:6:8: the service \"api\" is there twice\n  \
         hint: put all that it depends on into one `[[service]]`\n\
         catalog.toml:7:1: [[service]] \"api\" has no key `depend_on`\n  \
         hint: did you mean `depends_on`?\n\
         catalog.toml:8:1: [[service]] has no `name`\n  hint: add `name = ...`\n\
         catalog.toml:9:8: `tier` is a number\n  hint: write a string in quotes\n\
         catalog.toml:10:2: the file has no key `sevice`\n  hint: did you mean `service`?"
    );
}

proptest! {
    /// One step from a service to what it uses changes the distance by at most one.
    #[test]
    fn hops_are_distances(edges in proptest::collection::vec((0..8_u8, 0..8_u8), 0..20)) {
        let mut services: BTreeMap<String, Service> = BTreeMap::new();
        for (user, used) in &edges {
            let service = services.entry(user.to_string()).or_default();
            service.depends_on.insert(used.to_string());
        }
        let catalog = Catalog::new(services);
        for (user, used) in edges {
            for target in 0..8_u8 {
                let far = catalog.hops(&user.to_string(), &target.to_string());
                let near = catalog.hops(&used.to_string(), &target.to_string());
                if let Some(near) = near.filter(|near| *near < HOPS_MAX) {
                    prop_assert!(far.is_some_and(|far| far <= near + 1));
                }
            }
        }
    }
}
