// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
)

// MaxBytes is the largest file that is read: more than 50,000 instances take.
const MaxBytes = 64 << 20

// Store is a folder of snapshots. Use [Open]. It is safe for concurrent use, by several
// processes, too, and needs no closing.
type Store struct{ dir string }

var _ discovery.Store = (*Store)(nil)

// Open returns the store in a folder, which is made if there is none, readable by its
// owner alone. It fails if the folder cannot be written to. What a crash may have left
// half written, an hour ago or before, is removed.
func Open(dir string) (*Store, error) {
	if dir == "" {
		return nil, errors.New(`snapshot: folder "": must not be empty`)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	probe, err := os.CreateTemp(dir, tempPattern)
	if err != nil {
		return nil, fmt.Errorf("snapshot: folder %q: must be writable: %w", dir, err)
	}
	_ = probe.Close()
	_ = os.Remove(probe.Name())
	s := &Store{dir: dir}
	s.sweep(time.Now().Add(-time.Hour))
	return s, nil
}

const (
	extension   = ".instances"
	tempPattern = ".*" + extension + ".tmp"
)

// sweep removes what was left half written before a time. It is for tidiness: whatever
// fails is left.
func (s *Store) sweep(before time.Time) {
	left, _ := filepath.Glob(filepath.Join(s.dir, tempPattern))
	for _, name := range left {
		if info, err := os.Stat(name); err == nil && info.ModTime().Before(before) {
			_ = os.Remove(name)
		}
	}
}

// Load implements [discovery.Store].
func (s *Store) Load(q discovery.Query) (discovery.Stored, error) {
	if err := q.Validate(); err != nil {
		return discovery.Stored{}, err
	}
	path := s.path(q)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return discovery.Stored{}, fmt.Errorf("%w: %s", discovery.ErrNotStored, path)
	}
	if err != nil {
		return discovery.Stored{}, fmt.Errorf("snapshot: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	stored, err := load(f, q)
	if err != nil {
		return discovery.Stored{}, fmt.Errorf("snapshot: %s: %w", path, err)
	}
	// A clock that was wrong must not make it valid for ever.
	if now := time.Now(); stored.At.After(now) {
		stored.At = now
	}
	return stored, nil
}

func load(f *os.File, q discovery.Query) (discovery.Stored, error) {
	info, err := f.Stat()
	if err != nil {
		return discovery.Stored{}, err
	}
	if mode := info.Mode(); runtime.GOOS != "windows" && mode.Perm()&0o022 != 0 {
		return discovery.Stored{}, fmt.Errorf("mode %v: must not be writable by others: whoever writes it decides where this process connects to", mode)
	}
	text, err := io.ReadAll(io.LimitReader(f, MaxBytes+1))
	if err != nil {
		return discovery.Stored{}, err
	}
	if len(text) > MaxBytes {
		return discovery.Stored{}, fmt.Errorf("size: must be at most %d bytes", MaxBytes)
	}
	return decode(q, text)
}

// Save implements [discovery.Store]. After a crash or an error, at whatever moment, the
// file is the old one or the new one.
func (s *Store) Save(q discovery.Query, stored discovery.Stored) error {
	if err := q.Validate(); err != nil {
		return err
	}
	text, err := encode(q, stored)
	if err != nil {
		return err
	}
	if err := s.replace(s.path(q), text); err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	return nil
}

func (s *Store) replace(path string, text []byte) error {
	f, err := os.CreateTemp(s.dir, tempPattern) // for its owner alone
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return err
	}
	return s.syncFolder()
}

// syncFolder makes the rename last. Not every system can; those have it last by
// themselves, or not at all.
func (s *Store) syncFolder() error {
	d, err := os.Open(s.dir)
	if err != nil {
		return err
	}
	_ = d.Sync()
	return d.Close()
}

// maxName is what a file system allows for a name, with room for an extension.
const maxName = 200

// path returns where a query's file is. Names that differ in case only differ in their
// files, also where the file system does not tell case.
func (s *Store) path(q discovery.Query) string {
	var b strings.Builder
	b.WriteString(string(q.Namespace))
	b.WriteByte('.')
	for _, c := range []byte(q.Service) {
		if 'A' <= c && c <= 'Z' {
			b.WriteByte('^')
			c += 'a' - 'A'
		}
		b.WriteByte(c)
	}
	name := b.String()
	if len(name) > maxName {
		sum := sha256.Sum256([]byte(q.String()))
		name = name[:maxName/2] + "^^" + hex.EncodeToString(sum[:16])
	}
	return filepath.Join(s.dir, name+extension)
}
