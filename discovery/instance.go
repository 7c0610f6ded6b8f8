// SPDX-License-Identifier: Apache-2.0

package discovery

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// DefaultWeight is the weight of an instance that was given none.
const DefaultWeight = 1

// The limits of an instance. Those of metadata are Consul's, the strictest.
const (
	MaxWeight        = 65535
	MaxTags          = 64
	MaxMetadata      = 64
	MaxMetadataKey   = 128
	MaxMetadataValue = 512
)

// ReservedMetadata begins the metadata keys that back ends keep for themselves, for
// what their registry has no field for.
const ReservedMetadata = "fairlead-"

// Instance is one process that serves one service at one address. It is a plain
// value; instances that are shared, such as those of a [Snapshot], are not to be
// changed, their maps and slices included.
type Instance struct {
	// Namespace is the environment. Required.
	Namespace Namespace
	// Service is the name by which callers ask for it. Required.
	Service string
	// ID is unique in the service, and the same when the process is restarted.
	// The default is made of service and address: "order@10.0.0.7:8443".
	ID string
	// Address is host:port, as callers reach it. Required.
	Address string
	// Zone is where it runs, such as "eu-west-1a". May be empty.
	Zone string
	// Weight is its share of traffic in relation to the others', 1 to [MaxWeight].
	// The default is [DefaultWeight].
	Weight int
	// Version is that of the program. May be empty.
	Version string
	// Tags are for choosing among instances, never for isolation: for that there
	// are namespaces. Sorted, without duplicates.
	Tags []string
	// Metadata is whatever else callers should know. Keys are of letters, digits,
	// "-" and "_" and do not begin with [ReservedMetadata].
	Metadata map[string]string
	// Health is what was last heard of it.
	Health Health
}

// Key returns the name of the instance.
func (in *Instance) Key() Key { return Key{in.Namespace, in.Service, in.ID} }

// String returns the key and the address.
func (in *Instance) String() string { return in.Key().String() + " at " + in.Address }

// Equal reports whether two instances are the same in everything, health included.
func (in *Instance) Equal(o *Instance) bool {
	return in.ID == o.ID && in.Address == o.Address && in.Health == o.Health && in.Weight == o.Weight &&
		in.Namespace == o.Namespace && in.Service == o.Service && in.Zone == o.Zone && in.Version == o.Version &&
		slices.Equal(in.Tags, o.Tags) && maps.Equal(in.Metadata, o.Metadata)
}

// HasTag reports whether the instance has a tag.
func (in *Instance) HasTag(tag string) bool { return slices.Contains(in.Tags, tag) }

// Normalized returns the instance as it is registered: with its defaults, its
// address in canonical form and its tags sorted, sharing nothing with the original.
// The error names each field that is invalid, its value and the rule.
func (in Instance) Normalized() (Instance, error) {
	var errs []error
	check := func(ok bool, field string, value any, rule string) {
		if !ok {
			errs = append(errs, fmt.Errorf("discovery: %s %#v: must %s", field, value, rule))
		}
	}
	address, err := canonicalAddress(in.Address)
	errs = append(errs, in.Namespace.Validate(), checkService(in.Service), err)
	if err == nil {
		in.Address = address
	}
	if in.ID == "" {
		in.ID = derivedID(in.Service, in.Address)
	} else {
		errs = append(errs, checkID(in.ID))
	}
	if in.Weight == 0 {
		in.Weight = DefaultWeight
	}
	check(in.Weight >= 1 && in.Weight <= MaxWeight, "weight", in.Weight, fmt.Sprintf("be from 1 to %d", MaxWeight))
	check(isLabel(in.Zone) || in.Zone == "", "zone", in.Zone, labelRule)
	check(isLabel(in.Version) || in.Version == "", "version", in.Version, labelRule)
	check(in.Health <= HealthLeaving, "health", int(in.Health), "be one of the constants")

	in.Tags = slices.Compact(slices.Sorted(slices.Values(in.Tags))) // nil if there is none
	check(len(in.Tags) <= MaxTags, "number of tags", len(in.Tags), fmt.Sprintf("be at most %d", MaxTags))
	for _, tag := range in.Tags {
		check(isLabel(tag), "tag", tag, labelRule)
	}
	if in.Metadata = maps.Clone(in.Metadata); len(in.Metadata) == 0 {
		in.Metadata = nil
	}
	check(len(in.Metadata) <= MaxMetadata, "number of metadata", len(in.Metadata), fmt.Sprintf("be at most %d", MaxMetadata))
	for _, key := range slices.Sorted(maps.Keys(in.Metadata)) {
		check(key != "" && len(key) <= MaxMetadataKey && isWord(key, "-_"), "metadata key", key,
			fmt.Sprintf(`be 1 to %d letters, digits, "-" and "_"`, MaxMetadataKey))
		check(!strings.HasPrefix(key, ReservedMetadata), "metadata key", key, "not begin with "+ReservedMetadata+", which is for back ends")
		value := in.Metadata[key]
		check(len(value) <= MaxMetadataValue && isText(value), "metadata value of "+key, value,
			fmt.Sprintf("be at most %d bytes of valid UTF-8 without control characters", MaxMetadataValue))
	}
	if err := errors.Join(errs...); err != nil {
		return Instance{}, err
	}
	return in, nil
}

// derivedID is the same for the same address, whenever the process is started, and
// different for different ones: a port has no colon.
func derivedID(service, address string) string {
	return service + "@" + strings.NewReplacer("[", "", "]", "").Replace(address)
}

const labelRule = `be 1 to 128 letters, digits and "._:/+~=@-"`

func isLabel(s string) bool { return s != "" && len(s) <= 128 && isWord(s, "._:/+~=@-") }

func isText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}
