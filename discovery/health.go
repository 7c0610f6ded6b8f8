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
)

var healthNames = [...]string{"unknown", "passing", "failing"}

// String returns "unknown", "passing" or "failing".
func (h Health) String() string {
	if int(h) < len(healthNames) {
		return healthNames[h]
	}
	return "invalid"
}

// MarshalText implements [encoding.TextMarshaler].
func (h Health) MarshalText() ([]byte, error) {
	if h > HealthFailing {
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
	return fmt.Errorf("discovery: health %q: must be unknown, passing or failing", text)
}
