// SPDX-License-Identifier: Apache-2.0

package logging

import (
	"fmt"
	"io"
	"log/slog"
)

// Redacted is what stands in the place of a secret.
const Redacted = "[REDACTED]"

// Secret is a string that does not show itself: with slog, with every verb of
// fmt, as JSON and as text it is "[REDACTED]". [Secret.Reveal] returns it.
//
//	type Config struct {
//		User     string
//		Password logging.Secret
//	}
//
// Keep it in exported fields: fmt cannot call methods on unexported fields and
// prints the string in them. A [Handler] looks into structs for that reason,
// package fmt does not. Nor is it meant for map keys, which encoding/json
// writes as they are.
type Secret string

// Reveal returns the secret.
func (s Secret) Reveal() string { return string(s) }

// String returns "[REDACTED]".
func (Secret) String() string { return Redacted }

// GoString returns "[REDACTED]".
func (Secret) GoString() string { return Redacted }

// Format writes "[REDACTED]" for every verb and flag.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, Redacted) }

// LogValue returns "[REDACTED]".
func (Secret) LogValue() slog.Value { return slog.StringValue(Redacted) }

// MarshalJSON returns "[REDACTED]" in quotes.
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + Redacted + `"`), nil }

// MarshalText returns "[REDACTED]".
func (Secret) MarshalText() ([]byte, error) { return []byte(Redacted), nil }
