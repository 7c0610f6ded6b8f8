// SPDX-License-Identifier: Apache-2.0

package fairlead

// BreakListener closes a listener under the server that serves on it.
func BreakListener(s *Service, protocol string) {
	for _, srv := range s.servers {
		if srv.name == protocol {
			_ = srv.listener.Close()
		}
	}
}
