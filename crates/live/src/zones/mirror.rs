//! Zones that stand as those of another system do.

use std::sync::Arc;

use posthaste_protocol::zones::ZoneView;
use posthaste_storage::zones::Zone;

use super::Zones;
use crate::Refused;
use crate::system::Doors;

impl Zones {
    /// Brings the zones here to where `wanted` stands, which are those of another system: the same ids and versions. Says
    /// how many changed.
    pub async fn mirror(&self, wanted: Vec<Arc<ZoneView>>) -> Result<usize, Refused> {
        let doors = self.0.doors.get()?;
        let (zones, carried) = (self.clone(), doors.carried.clone());
        carried.through(async move { zones.become_as(&doors, &wanted).await }).await
    }

    async fn become_as(&self, doors: &Doors, wanted: &[Arc<ZoneView>]) -> Result<usize, Refused> {
        let _one = self.0.changing.lock().await;
        let here = self.list();
        let stands = |zone: &ZoneView| here.iter().any(|z| z.id == zone.id && z.version == zone.version);
        let changed: Result<Vec<Zone>, Refused> =
            wanted.iter().filter(|zone| !stands(zone)).map(|zone| stored(zone)).collect();
        let changed = changed?;
        let wants = |id| wanted.iter().any(|zone| zone.id == id);
        let gone: Vec<_> = here.iter().map(|zone| zone.id).filter(|id| !wants(*id)).collect();
        if changed.is_empty() && gone.is_empty() {
            return Ok(0);
        }
        // Where it is unknown whether it was stored, the next look brings what is served to what is stored.
        posthaste_storage::zones::mirror(&self.0.pool, &changed, &gone, doors.clock.now()).await.inspect_err(|_| {
            doors.doubt();
        })?;
        let count = changed.len() + gone.len();
        for id in gone {
            self.take_out(id)?;
        }
        for zone in changed {
            let (id, is_new) = (zone.id, self.cell(zone.id).is_none());
            self.load(zone)?;
            if is_new {
                self.start(id, doors).await?;
            }
            if let Some(cell) = self.cell(id) {
                self.changed(&cell, doors);
            }
        }
        Ok(count)
    }
}

/// The row of a zone that is served.
fn stored(view: &ZoneView) -> Result<Zone, Refused> {
    Ok(Zone {
        id: view.id,
        name: view.name.clone(),
        area: view.area.clone(),
        rules: view.rules.into(),
        travel: serde_json::to_value(view.travel)
            .map_err(|_| Refused::Broken("a travel model cannot be written down".into()))?,
        created_at: view.created_at,
        version: view.version,
        deleted_at: None,
    })
}
