// SPDX-License-Identifier: Apache-2.0

package discovery

import "fmt"

// Health is what is known of an instance's health.
type Health uint8

// The states of health.
const (
	// HealthUnknown: nobody said. It is called as if it were passing.
	HealthUnknown Health = iota
	// HealthPassing: it said of itself that it works.
	HealthPassing
	// HealthFailing: it said of itself that it does not, or its time to live is
	// over and the registry still lists it. It is not called.
	HealthFailing
	// HealthLeaving: it said of itself that it is about to go. It is not called, and
	// that it is missing afterwards is believed at once: no hold is for it.
	HealthLeaving
)

var healthNames = [...]string{"unknown", "passing", "failing", "leaving"}

// Callable reports whether an instance of this health may be called.
func (h Health) Callable() bool { return h == HealthUnknown || h == HealthPassing }

// String returns "unknown", "passing", "failing" or "leaving".
func (h Health) String() string {
	if int(h) < len(healthNames) {
		return healthNames[h]
	}
	return "invalid"
}

// MarshalText implements [encoding.TextMarshaler].
func (h Health) MarshalText() ([]byte, error) {
	if int(h) >= len(healthNames) {
		return nil, fmt.Errorf("discovery: health %d: must be one of the constants", h)
	}
	return []byte(h.String()), nil
}

// UnmarshalText implements [encoding.TextUnmarshaler].
func (h *Health) UnmarshalText(text []byte) error {
	for i, name := range healthNames {
		if name == string(text) {
			*h = Health(i)
			return nil
		}
	}
	return fmt.Errorf("discovery: health %q: must be unknown, passing, failing or leaving", text)
}
