// SPDX-License-Identifier: Apache-2.0

package metrics

// Drained counts the requests that were in flight when a server ended: those that came
// to their own end, and those that were cut, of which some may have taken no notice and
// be stuck. It takes the figures of a drain.Result. protocol is "grpc", "http" or another
// word that is fixed in the program.
func (s *Set) Drained(protocol string, drained, killed, stuck int64) {
	if s == nil {
		return
	}
	protocol = s.sources.Value(protocol)
	inc(s.drained, int(drained), protocol, "drained")
	inc(s.drained, int(killed-stuck), protocol, "killed")
	inc(s.drained, int(stuck), protocol, "stuck")
}
