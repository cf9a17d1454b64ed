//! The policy in the shadow beside the one that decides: a few lines for each zone that has one.

use posthaste_domain::zone::Policy;
use posthaste_protocol::insight::Durations;
use posthaste_protocol::shadow::ShadowView;

fn minutes(durations: Option<Durations>) -> String {
    let Some(d) = durations else { return "-".to_owned() };
    #[expect(clippy::cast_precision_loss, reason = "seconds of a day")]
    let shown = |seconds: i64| seconds as f64 / 60.0;
    format!("{:.1} / {:.1} / {:.1}", shown(d.mean_seconds), shown(d.p50_seconds), shown(d.p90_seconds))
}

/// The comparison in words; `zone` is the zone's name.
pub(super) fn lines(zone: &str, view: &ShadowView) -> String {
    let shadow = view.shadow.map_or("nothing now", Policy::name);
    let figures = &view.figures;
    let from_to = format!("{} to {}", view.from.format("%F %R"), view.to.format("%F %R"));
    let mut text = format!("{zone}: {} decides, {shadow} in its shadow, {from_to} (UTC)\n", view.policy.name());
    if figures.orders == 0 {
        text.push_str("  no plans recorded\n");
        return text;
    }
    let rows = [
        ("orders planned by either", figures.orders.to_string()),
        ("a driver from both", figures.compared.to_string()),
        ("  the same one", figures.same_driver.to_string()),
        ("  sooner at the door in the shadow", figures.sooner_in_shadow.to_string()),
        ("  later at the door in the shadow", figures.later_in_shadow.to_string()),
        ("a driver from the deciding one only", figures.only_decided.to_string()),
        ("a driver from the shadow only", figures.only_shadow.to_string()),
        ("click to door, mean / p50 / p90 (min)", String::new()),
        ("  as decided", minutes(figures.decided_click_to_door)),
        ("  in the shadow", minutes(figures.shadow_click_to_door)),
        ("  as it was", minutes(figures.delivered_click_to_door)),
    ];
    for (what, figure) in rows {
        text.push_str(format!("  {what:<38} {figure}").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use posthaste_protocol::shadow::ShadowFigures;

    use super::*;

    #[test]
    fn a_zone_reads_in_a_few_lines() {
        let click = |mean| Some(Durations { count: 2, mean_seconds: mean, p50_seconds: mean, p90_seconds: mean + 60 });
        let mut view = ShadowView {
            zone_id: "zon_01jd8v7cjxfm9sxv0q3e0b5z1c".parse().unwrap(),
            from: "2026-05-01T10:00:00Z".parse().unwrap(),
            to: "2026-05-01T12:00:00Z".parse().unwrap(),
            policy: Policy::LeastBusy,
            shadow: Some(Policy::Routed),
            figures: ShadowFigures::default(),
        };
        let title = "Centre: least_busy decides, routed in its shadow, 2026-05-01 10:00 to 2026-05-01 12:00 (UTC)";
        assert_eq!(lines("Centre", &view), format!("{title}\n  no plans recorded\n"));
        view.figures = ShadowFigures {
            orders: 3,
            compared: 2,
            decided_click_to_door: click(1800),
            shadow_click_to_door: click(1500),
            ..ShadowFigures::default()
        };
        let text = lines("Centre", &view);
        assert!(text.starts_with(title), "{text}");
        assert!(text.contains("in the shadow                        25.0 / 25.0 / 26.0\n"), "{text}");
        assert!(text.ends_with("as it was                            -\n"), "{text}");
    }
}
