// SPDX-License-Identifier: Apache-2.0

package policyfile

import (
	"fmt"
	"io"
	"os"

	"github.com/fairlead-go/fairlead/resilience/policies"
)

// MaxBytes is how long a file may be.
const MaxBytes = 256 << 10

// maxMethods bounds how many methods have policies of their own, over all services and
// with those of the defaults: each has to be built before one knows that it can be.
const maxMethods = 10_000

// Parse reads the options that are written in YAML or JSON, for [policies.New]. Those that
// come after them there are layers on top. It fails on what makes no sense with an
// [*Error] for each thing that is wrong, all joined.
func Parse(data []byte) ([]policies.Option, error) { return parse("policyfile", data) }

// ReadFile is [Parse] for the file at path, which it names in errors as given.
func ReadFile(path string) ([]policies.Option, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("policyfile: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	data, err := io.ReadAll(io.LimitReader(f, MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("policyfile: %w", err)
	}
	return parse(path, data)
}

func parse(file string, data []byte) ([]policies.Option, error) {
	p := &parser{file: file, told: map[Error]bool{}, objects: map[part]*object{}, keys: map[part]place{}}
	opts := p.read(data)
	switch {
	case p.values > maxValues: // which is told
	case p.methods > maxMethods:
		p.fail(nil, "", "", fmt.Sprintf("%d methods: must be at most %d over all services, with those of the defaults", p.methods, maxMethods))
	default:
		_, err := policies.New(opts...)
		p.judge(err)
	}
	if err := join(p.errs); err != nil {
		return nil, err
	}
	return opts, nil
}
