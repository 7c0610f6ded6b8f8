// SPDX-License-Identifier: Apache-2.0

package discovery

import (
	"encoding/json"
	"fmt"
)

// payloadVersion is the version of the encoding. A reader takes its own version and
// no other; fields that it does not know are left alone, so that some can be added
// without a new version.
const payloadVersion = 1

// maxPayload bounds what is parsed: more than any valid instance takes.
const maxPayload = 128 << 10

// payload is an instance as back ends store it. Its fields and their names are the
// format: they stay.
type payload struct {
	V         int               `json:"v"`
	Namespace Namespace         `json:"namespace"`
	Service   string            `json:"service"`
	ID        string            `json:"id"`
	Address   string            `json:"address"`
	Zone      string            `json:"zone,omitempty"`
	Weight    int               `json:"weight"`
	Version   string            `json:"version,omitempty"`
	Tags      []string          `json:"tags,omitempty"`
	Metadata  map[string]string `json:"metadata,omitempty"`
	Health    Health            `json:"health"`
}

// EncodeInstance returns the text of an instance for registries that store one: JSON
// on one line, the same for the same instance. It fails on an invalid instance.
func EncodeInstance(in Instance) ([]byte, error) {
	n, err := in.Normalized()
	if err != nil {
		return nil, err
	}
	return json.Marshal(payload{payloadVersion, n.Namespace, n.Service, n.ID, n.Address, n.Zone, n.Weight, n.Version, n.Tags, n.Metadata, n.Health})
}

// DecodeInstance is the inverse of [EncodeInstance]. What comes back is normalized;
// text that makes no valid instance is an error, to be reported as [Malformed]. The
// namespace and the service in the text are the word of whoever wrote it: compare
// them with where it was found, as [Query.Owns] does.
func DecodeInstance(text []byte) (Instance, error) {
	if len(text) > maxPayload {
		return Instance{}, fmt.Errorf("discovery: payload of %d bytes: must have at most %d", len(text), maxPayload)
	}
	var p payload
	if err := json.Unmarshal(text, &p); err != nil {
		return Instance{}, fmt.Errorf("discovery: payload: %w", err)
	}
	if p.V != payloadVersion {
		return Instance{}, fmt.Errorf("discovery: payload version %d: must be %d, the one that this build reads", p.V, payloadVersion)
	}
	if p.ID == "" {
		return Instance{}, fmt.Errorf(`discovery: payload id "": must not be empty`)
	}
	return Instance{
		Namespace: p.Namespace, Service: p.Service, ID: p.ID, Address: p.Address, Zone: p.Zone, Weight: p.Weight,
		Version: p.Version, Tags: p.Tags, Metadata: p.Metadata, Health: p.Health,
	}.Normalized()
}

// Owns reports whether an instance belongs to the query. The core drops those that
// do not, whatever a back end says.
func (q Query) Owns(in *Instance) bool { return in.Namespace == q.Namespace && in.Service == q.Service }
