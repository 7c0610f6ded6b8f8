// SPDX-License-Identifier: Apache-2.0

package discoveryfile

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/fairlead-go/fairlead/discovery"
)

// MaxBytes is how long a file may be.
const MaxBytes = 64 << 10

// File is a file of settings. Use [Read] or [Parse]. It is not safe for concurrent use.
type File struct {
	name     string
	sections map[string]*section
	asked    map[string]bool
}

// section is what is in a section, and where it begins.
type section struct {
	line, column int
	values       map[string]discovery.FileValue
}

// Read reads the file at path, which it names in errors as given.
func Read(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("discoveryfile: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	data, err := io.ReadAll(io.LimitReader(f, MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("discoveryfile: %w", err)
	}
	return Parse(path, data)
}

// Parse reads settings that are written in YAML or JSON. name is what errors and
// settings call the file. It fails with an [*Error] for each thing that is wrong, all
// joined.
func Parse(name string, data []byte) (*File, error) {
	p := &parser{file: name}
	sections := p.read(data)
	if err := join(p.errs); err != nil {
		return nil, err
	}
	return &File{name, sections, map[string]bool{}}, nil
}

// Name returns the name of the file.
func (f *File) Name() string { return f.name }

// Sections returns the names of the sections there are, in order.
func (f *File) Sections() []string { return slices.Sorted(maps.Keys(f.sections)) }

// Section returns the values of a section by their names, for
// [discovery.Settings.UseFile]; none if there is no such section.
func (f *File) Section(name string) map[string]discovery.FileValue {
	f.asked[name] = true
	if s := f.sections[name]; s != nil {
		return maps.Clone(s.values)
	}
	return map[string]discovery.FileValue{}
}

// Use makes settings take the values of a section.
func (f *File) Use(s *discovery.Settings, section string) { s.UseFile(f.name, f.Section(section)) }

// Err returns which sections nobody asked for: they are misspelt, or for another
// program. Call it when all was asked for.
func (f *File) Err() error {
	var errs []*Error
	for name, s := range f.sections {
		if f.asked[name] {
			continue
		}
		rule := "nobody asks for a setting outside of a section"
		if name != "" {
			rule = "no such section"
		}
		if known := slices.DeleteFunc(slices.Sorted(maps.Keys(f.asked)), func(s string) bool { return s == "" }); len(known) > 0 {
			rule += ": there may be " + strings.Join(known, ", ")
		}
		errs = append(errs, &Error{f.name, s.line, s.column, name, rule})
	}
	return join(errs)
}
