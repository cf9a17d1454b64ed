//! Zones that stand as those of another system do.

use std::sync::Arc;

use posthaste_domain::zone::Zone;
use posthaste_storage::zones::Stored;

use super::Zones;
use crate::Refused;
use crate::system::Doors;

impl Zones {
    /// Brings the zones here to where `wanted` stands, which are those of another system: the same ids and versions. Says
    /// how many changed.
    pub async fn mirror(&self, wanted: Vec<Arc<Zone>>) -> Result<usize, Refused> {
        let doors = self.0.doors.get()?;
        let (zones, carried) = (self.clone(), doors.carried.clone());
        carried.through(async move { zones.become_as(&doors, &wanted).await }).await
    }

    async fn become_as(&self, doors: &Doors, wanted: &[Arc<Zone>]) -> Result<usize, Refused> {
        let _one = self.0.changing.lock().await;
        let here = self.list();
        let stands = |zone: &Zone| here.iter().any(|z| z.zone.id == zone.id && z.zone.version == zone.version);
        let changed: Vec<Zone> = wanted.iter().filter(|zone| !stands(zone)).map(|zone| (**zone).clone()).collect();
        let wants = |id| wanted.iter().any(|zone| zone.id == id);
        let gone: Vec<_> = here.iter().map(|zone| zone.zone.id).filter(|id| !wants(*id)).collect();
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
            self.load(Stored { zone, deleted_at: None })?;
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
