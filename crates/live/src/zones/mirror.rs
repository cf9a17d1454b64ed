//! Zones that stand as those of another system do.

use std::sync::Arc;

use posthaste_protocol::zones::ZoneView;
use posthaste_storage::zones::Zone;

use super::Zones;
use crate::Refused;

impl Zones {
    /// Brings the zones here to where `wanted` stands, which are those of another system: the same ids and versions. Says
    /// how many changed.
    pub async fn mirror(&self, wanted: &[Arc<ZoneView>]) -> Result<usize, Refused> {
        let doors = self.0.doors.get()?;
        let _one = self.0.changing.lock().await;
        let here = self.list();
        let stands = |zone: &ZoneView| here.iter().any(|z| z.id == zone.id && z.version == zone.version);
        let changed: Vec<Zone> = wanted.iter().filter(|zone| !stands(zone)).map(|zone| stored(zone)).collect();
        let wants = |id| wanted.iter().any(|zone| zone.id == id);
        let gone: Vec<_> = here.iter().map(|zone| zone.id).filter(|id| !wants(*id)).collect();
        if changed.is_empty() && gone.is_empty() {
            return Ok(0);
        }
        posthaste_storage::zones::mirror(&self.0.pool, &changed, &gone, doors.clock.now()).await?;
        let count = changed.len() + gone.len();
        for id in gone {
            self.take_out(id)?;
        }
        for zone in changed {
            let (id, is_new) = (zone.id, self.cell(zone.id).is_none());
            self.load(zone)?;
            if is_new {
                self.start(id, &doors).await?;
            }
            if let Some(cell) = self.cell(id) {
                self.changed(&cell, &doors);
            }
        }
        Ok(count)
    }
}

/// The row of a zone that is served.
fn stored(view: &ZoneView) -> Zone {
    Zone {
        id: view.id,
        name: view.name.clone(),
        area: view.area.clone(),
        rules: view.rules.into(),
        travel: serde_json::to_value(view.travel).unwrap_or_default(),
        created_at: view.created_at,
        version: view.version,
        deleted_at: None,
    }
}
