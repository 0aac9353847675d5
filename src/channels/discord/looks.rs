//! What is known of a guild's channels, and looking up those that nobody told us of.

use serde_json::Value;

use super::events::{self, Room};
use super::{Answer, Discord, rest};
use crate::channels::{ChannelOut, Retry};
use crate::driver::Now;
use crate::limits;

impl Discord {
    /// What a look-up says: a failure that may pass lets the message wait, one that will not
    /// leaves a channel where nobody is heard.
    pub(super) fn looked(
        &mut self,
        now: Now,
        channel: String,
        result: Answer,
        out: &mut ChannelOut,
    ) {
        if !self.looking || self.look.is_some() {
            // Whose answer this is has come, or will come, by another socket.
            return;
        }
        match rest::read("a channel's look-up", result) {
            Ok(told) => {
                self.learn(&told);
                if self.rooms.get(&channel).is_none_or(Room::is_half) {
                    self.know(channel, Room::unknown());
                }
            }
            Err(no) if no.status == 401 => return self.refuse(no.failure.what, out),
            Err(no) if no.failure.retry == Retry::No => {
                let line = format!("nobody is heard in channel {channel}: {}", no.failure.what);
                out.log(log::Level::Warn, line);
                self.know(channel, Room::unknown());
            }
            Err(no) => {
                let least = match no.failure.retry {
                    Retry::After(ms) => ms,
                    _ => 0,
                };
                let pause = self.looks.next_ms(out.random()).max(least);
                self.look = Some(now.time.after_ms(pause));
                let line = format!(
                    "messages wait for channel {channel}: {}; looking again in {} s",
                    no.failure.what,
                    pause.div_ceil(1000)
                );
                return out.log(log::Level::Warn, line);
            }
        }
        self.look_no_more();
        self.advance(out);
    }

    pub(super) fn look_no_more(&mut self) {
        (self.looking, self.look) = (false, None);
        self.looks.reset();
    }

    pub(super) fn learn(&mut self, channel: &Value) {
        let Some((id, mut room)) = events::room(channel) else { return };
        if room.is_half() {
            // An interaction tells less of a thread than is known.
            room.parent = self.rooms.get(&id).and_then(|known| known.parent.clone());
        }
        self.know(id, room);
    }

    pub(super) fn know(&mut self, id: String, room: Room) {
        if self.rooms.len() >= limits::DISCORD_ROOMS && !self.rooms.contains_key(&id) {
            // Any one: it is looked up again when it speaks.
            self.rooms.pop_first();
        }
        self.rooms.insert(id, room);
    }
}
