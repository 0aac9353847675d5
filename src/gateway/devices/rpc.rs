//! `device.pair.*`, `device.token.*`, `device.scopes.*`.

use super::super::Gateway;
use super::super::socket::Answer;
use crate::driver::ConnId;

impl Gateway {
    /// `device.pair.list`.
    pub(in super::super) fn device_pair_list(&mut self, conn: ConnId) -> Answer {
        let by = self.approver(conn);
        Answer::Value(self.pair_list(&by))
    }
}
