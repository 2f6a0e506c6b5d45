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
    assert_eq!(catalog.below("web").collect::<Vec<_>>(), ["api", "db", "disk", "dns"]);
    assert_eq!(catalog.below("disk").count() + catalog.below("unheard-of").count(), 0);
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

fn backstage(files: &[(&str, &str)]) -> Result<Vec<Part>, String> {
    let own = |text: &str| text.to_owned();
    let files: Vec<_> = files.iter().map(|(name, text)| (own(name), own(text))).collect();
    parse_backstage(&files)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

/// An entity, as it stands in a file with others.
fn entity(kind: &str, name: &str, spec: &str) -> String {
    let head = format!("apiVersion: backstage.io/v1alpha1\nkind: {kind}");
    format!("---\n{head}\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n")
}

/// All edges, as `user>used`.
fn edges(parts: &[Part]) -> Vec<String> {
    let catalog = Catalog::merged(parts);
    let all = catalog.services().iter();
    all.flat_map(|(name, service)| service.depends_on.iter().map(move |u| format!("{name}>{u}")))
        .collect()
}

#[test]
fn every_relation_of_backstage_becomes_a_dependency() {
    for (written, want) in [
        (entity("Component", "web", "dependsOn: ['component:api']"), &["web>api"][..]),
        (entity("Component", "web", "dependsOn: resource:other/orders-db"), &["web>orders-db"]),
        (
            entity("Resource", "orders-db", "dependencyOf: ['Component:default/Api']"),
            &["Api>orders-db"],
        ),
        (entity("Component", "web", "consumesApis: [payments]"), &["web>payments"]),
        (entity("Component", "web", "system: shop"), &["shop>web"]),
        (entity("Component", "cart", "subcomponentOf: web"), &["web>cart"]),
        (entity("System", "web", "domain: sales, owner: a"), &[]),
        (entity("Component", "web", "system: web, dependsOn: ['component:Web']"), &[]),
    ] {
        let parts = backstage(&[("a.yaml", &written)]).unwrap();
        assert_eq!(edges(&parts), want, "{written}");
    }
}

#[test]
fn who_consumes_an_api_depends_on_its_providers_in_whatever_file_they_are() {
    let consumer = entity("Component", "web", "consumesApis: [Orders], dependsOn: ['api:stock']");
    let providers = [
        entity("API", "orders", "type: openapi, lifecycle: production, owner: a, system: shop"),
        entity("Component", "orders-api", "providesApis: ['api:default/orders', stock]"),
        entity("Component", "orders-next", "providesApis: [orders]"),
        entity("Component", "elsewhere", "providesApis: ['api:abroad/orders']"),
    ];
    let parts = backstage(&[("web.yaml", &consumer), ("orders.yaml", &providers.concat())]);
    let want = ["shop>orders-api", "shop>orders-next", "web>orders-api", "web>orders-next"];
    assert_eq!(edges(&parts.unwrap()), want);
}

#[test]
fn a_resource_has_a_tier_where_its_type_says_so_and_the_catalogue_knows_better() {
    let text = [
        entity("Resource", "orders", "type: database"),
        entity("Resource", "prod-1", "type: kubernetes-cluster"),
        entity("Resource", "queue", "type: kafka-topic"),
        entity("Component", "web", "type: website"),
    ];
    let parts = backstage(&[("a.yaml", &text.concat())]).unwrap();
    let tiers = |catalog: &Catalog| -> Vec<_> {
        catalog.services().values().map(|service| service.tier.clone()).collect()
    };
    let said = |tier: &str| Some(tier.to_owned());
    let discovered = [said("datastore"), said("platform"), None, None];
    assert_eq!(tiers(&Catalog::merged(&parts)), discovered);
    let own = "[[service]]\nname = \"orders\"\ntier = \"platform\"\n";
    let own = parse_toml(&[("catalog.toml".to_owned(), own.to_owned())]).unwrap();
    let merged = Catalog::merged(&[own, parts].concat());
    assert_eq!(tiers(&merged).first(), Some(&said("platform")));
}

#[test]
fn what_is_not_backstages_or_says_nothing_of_services_is_left_alone() {
    let text = format!(
        "{}---\n{}{}---\napiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n---\n",
        entity("Group", "team", "type: team, children: [], dependsOn: 3"),
        entity("Component", "web", "owner: 7, unheardOf: {a: [b]}, dependsOn: []"),
        "---\napiVersion: scaffolder.backstage.io/v1beta3\nkind: Template\n",
    );
    let parts = backstage(&[("a.yaml", &text)]).unwrap();
    let known: Vec<_> = parts[0].services.keys().map(String::as_str).collect();
    assert_eq!((known, edges(&parts)), (vec!["web"], Vec::<String>::new()));
}

#[test]
fn every_problem_of_backstage_files_is_told_with_its_place() {
    let text = "apiVersion: backstage.io/v1alpha1\nkind: Componnt\nmetadata:\n  name: web\n---\n\
                apiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata:\n  title: Web\n\
                spec:\n  dependsOn:\n    - api\n    - component:a b\n    - 3\n---\n\
                kind: Component\nmetadata: web\n---\n- a\n---\n\
                apiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata:\n  name: web\n\
                spec:\n  dependsOn:\n    - api\n    - 'component:a b'\n    - 3\n  system: [1]\n";
    let again = entity("Component", "web", "type: service");
    let problems = backstage(&[("a.yaml", text), ("b.yaml", &again)]).unwrap_err();
    assert_eq!(
        problems,
        "a.yaml:2:7: Backstage has no kind \"Componnt\"\n  hint: did you mean Component?\n\
         a.yaml:9:3: there is no `name`\n  hint: add `name: ...`\n\
         a.yaml:16:1: there is no `apiVersion`\n  hint: add `apiVersion: ...`\n\
         a.yaml:17:11: `metadata` holds no fields\n  hint: indent them below it\n\
         a.yaml:19:1: this is no entity\n  hint: write `apiVersion`, `kind`, `metadata`\n\
         a.yaml:27:7: `dependsOn` names \"api\", and not of which kind it is\n  \
         hint: write kind:namespace/name, as component:payments\n\
         a.yaml:28:7: `dependsOn` names \"component:a b\", which is no reference\n  \
         hint: write kind:namespace/name, as component:payments\n\
         a.yaml:29:7: `dependsOn` names something that is no text\n  \
         hint: write references, as component:payments\n\
         a.yaml:30:12: `system` names something that is no text\n  \
         hint: write references, as component:payments\n\
         b.yaml:4:18: component:default/web is there twice\n  \
         hint: the other is at a.yaml:24; leave one of them out"
    );
    let told = backstage(&[("a.yaml", "kind: Component\n  metadata: {")]).unwrap_err();
    assert!(told.starts_with("a.yaml:2:"), "{told}");
    assert!(told.contains("this is not YAML: "), "{told}");
}

#[test]
fn aliases_that_blow_up_are_refused() {
    let level = |level| {
        let below = vec![format!("*a{level}"); 10].join(", ");
        format!("a{0}: &a{0} [{below}]\n", level + 1)
    };
    let text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    let text: String = std::iter::once(text).chain((0..8).map(level)).collect();
    let told = backstage(&[("a.yaml", &text)]).unwrap_err();
    assert!(told.contains("this is not YAML: alias expansion"), "{told}");
}

#[test]
fn what_several_say_is_merged_and_each_edge_tells_who_says_it() {
    let own = "[[service]]\nname = \"web\"\ndepends_on = [\"api\", \"cdn\"]\n";
    let toml = parse_toml(&[("catalog.toml".to_owned(), own.to_owned())]).unwrap();
    let entities = entity("Component", "web", "dependsOn: ['component:api', 'resource:db']");
    let backstage = backstage(&[("web.yaml", &entities)]).unwrap();
    let mut graph = Part::new(Origin::new(Speaker::ServiceGraph, "http://prometheus:9090/"));
    graph.depends("web", "api");
    graph.depends("web", "web");
    let files = Catalog::merged(&[toml, backstage].concat());
    let all = files.with(std::slice::from_ref(&graph));
    assert_eq!(all, files, "nothing new is said of who depends on whom");
    let origins = |used| all.origins("web", used).map(ToString::to_string).collect::<Vec<_>>();
    let want = ["toml catalog.toml", "backstage web.yaml", "service graph http://prometheus:9090/"];
    assert_eq!(origins("api"), want);
    assert_eq!(origins("cdn"), ["toml catalog.toml"]);
    assert_eq!(origins("db"), ["backstage web.yaml"]);
    assert_eq!(origins("web"), [""; 0]);
    graph.depends("api", "db");
    let more = files.with(std::slice::from_ref(&graph));
    assert_ne!(more, files);
    assert_eq!(more.hops("api", "db"), Some(1));
}

proptest! {
    /// Whatever a file holds, it is read or its problems are told.
    #[test]
    fn no_text_stops_the_reader_of_backstage_files(text in r"([ -~\n]|kind: |apiVersion: backstage.io/a\n|\n---\n|spec:\n  ){0,40}") {
        drop(backstage(&[("a.yaml", &text)]));
    }
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
