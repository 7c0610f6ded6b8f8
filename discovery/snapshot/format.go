// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
)

const formatVersion = 1

// header is the first line of a file.
type header struct {
	V         int                 `json:"v"`
	Namespace discovery.Namespace `json:"namespace"`
	Service   string              `json:"service"`
	At        time.Time           `json:"at"`
	Count     int                 `json:"count"`
}

const checksum = "sha256 "

// encode returns the text of a file.
func encode(q discovery.Query, s discovery.Stored) ([]byte, error) {
	var b bytes.Buffer
	line := func(text []byte, err error) error {
		b.Write(text)
		b.WriteByte('\n')
		return err
	}
	if err := line(json.Marshal(header{formatVersion, q.Namespace, q.Service, s.At.UTC(), s.Instances.Len()})); err != nil {
		return nil, err
	}
	for in := range s.Instances.All() {
		if err := line(discovery.EncodeInstance(*in)); err != nil {
			return nil, err
		}
	}
	sum := sha256.Sum256(b.Bytes())
	b.WriteString(checksum + hex.EncodeToString(sum[:]) + "\n")
	return b.Bytes(), nil
}

// decode is the inverse of encode. It takes nothing but what encode returned for the
// query.
func decode(q discovery.Query, text []byte) (discovery.Stored, error) {
	fault := func(format string, args ...any) (discovery.Stored, error) {
		return discovery.Stored{}, fmt.Errorf(format, args...)
	}
	body, sum, err := split(text)
	if err != nil {
		return discovery.Stored{}, err
	}
	if got := sha256.Sum256(body); hex.EncodeToString(got[:]) != string(sum) {
		return fault("the checksum is wrong: the file is damaged")
	}
	lines := bytes.Split(bytes.TrimSuffix(body, []byte("\n")), []byte("\n"))
	var h header
	if err := json.Unmarshal(lines[0], &h); err != nil {
		return fault("header: %w", err)
	}
	switch lines = lines[1:]; {
	case h.V != formatVersion:
		return fault("version %d: must be %d, the one that this build reads", h.V, formatVersion)
	case h.Namespace != q.Namespace || h.Service != q.Service:
		return fault("%w: it is of %s", discovery.ErrForeignNamespace, discovery.Query{Namespace: h.Namespace, Service: h.Service})
	case h.Count != len(lines):
		return fault("count %d: there are %d instances", h.Count, len(lines))
	}
	instances := make([]discovery.Instance, len(lines))
	for i, line := range lines {
		if instances[i], err = discovery.DecodeInstance(line); err != nil {
			return fault("instance %d: %w", i+1, err)
		}
		if !q.Owns(&instances[i]) {
			return fault("instance %d: %w: %s", i+1, discovery.ErrForeignNamespace, instances[i].Key())
		}
	}
	set := discovery.NewSet(instances...)
	if set.Len() != len(instances) {
		return fault("%d instances have %d ids", len(instances), set.Len())
	}
	return discovery.Stored{Instances: set, At: h.At}, nil
}

// split separates the checksum from what it is of.
func split(text []byte) (body, sum []byte, err error) {
	end := bytes.TrimSuffix(text, []byte("\n"))
	i := bytes.LastIndexByte(end, '\n') + 1
	sum, ok := bytes.CutPrefix(end[i:], []byte(checksum))
	if !ok || i == 0 || len(end) == len(text) {
		return nil, nil, errors.New("there is no checksum at its end: the file is cut short")
	}
	return text[:i], sum, nil
}
