// SPDX-License-Identifier: Apache-2.0

package health

import (
	"bytes"
	"encoding/json"
	"time"
)

// object is a JSON object that keeps its order.
type object []member

type member struct {
	key   string
	value any
}

func (o object) with(key string, value any) object { return append(o, member{key, value}) }

// withStates adds the state and the latency of each check.
func (o object) withStates(results []Result) object {
	for _, r := range results {
		o = o.with(r.Name, r.State.String())
		if !r.Watchdog && !r.At.IsZero() {
			o = o.with(r.Name+pingSuffix, milliseconds(r.Latency))
		}
	}
	return o
}

// details returns an object with all there is to say of each check.
func details(results []Result, withErrors bool) object {
	all := object{}
	for _, r := range results {
		o := object{
			{"state", r.State.String()}, {"passing", r.Passing}, {"criticality", r.Criticality.String()},
			{"failures", r.Failures},
		}
		if !r.Since.IsZero() {
			o = o.with("since", r.Since.UTC().Format(time.RFC3339Nano))
		}
		if !r.At.IsZero() {
			o = o.with("checked", r.At.UTC().Format(time.RFC3339Nano))
		}
		if !r.Watchdog && !r.At.IsZero() {
			o = o.with("ping_ms", milliseconds(r.Latency))
		}
		if withErrors && r.Err != nil {
			o = o.with("error", r.Err.Error())
		}
		all = all.with(r.Name, o)
	}
	return all
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// MarshalJSON implements [json.Marshaler].
func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		key, err := json.Marshal(m.key)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(m.value)
		if err != nil {
			return nil, err
		}
		b.Write(key)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// bytes returns the text of a body. Bodies are made of what can be written.
func (o object) bytes() []byte {
	text, err := o.MarshalJSON()
	if err != nil {
		panic("health: " + err.Error())
	}
	return append(text, '\n')
}
