// SPDX-License-Identifier: Apache-2.0

// Package policies has the policies of the shop's services: a file for each, as
// each would have it in a deployment of its own. A service without one calls
// nobody and fears nobody.
//
//	opts, err := policies.Read("", "order")       // those that are compiled in
//	opts, err := policies.Read("/etc/shop", "order")
//	svc, err := fairlead.New("order", fairlead.WithPolicies(opts...), …)
package policies

import (
	"embed"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/fairlead-go/fairlead/resilience/policies"
	"github.com/fairlead-go/fairlead/resilience/policyfile"
)

// Off stands for a folder in which every service does without any policy.
const Off = "off"

//go:embed *.yaml
var files embed.FS

// Read returns the policies of a service as the file of its name in a folder has
// them. Without a folder, and for a service that has no file there, they are those
// that are compiled in.
func Read(folder, service string) ([]policies.Option, error) {
	if folder == Off {
		return []policies.Option{policies.WithDefaults(policies.NoRetry(), policies.NoBreaker())}, nil
	}
	name := service + ".yaml"
	if folder != "" {
		path := filepath.Join(folder, name)
		_, err := os.Stat(path)
		if !errors.Is(err, fs.ErrNotExist) {
			return policyfile.ReadFile(path)
		}
	}
	text, err := files.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return policyfile.Parse(text)
}

// Check reads the policies of services, as [Read] would, for what is wrong with
// them. A folder that is not there is an error.
func Check(folder string, services ...string) error {
	if folder != "" && folder != Off {
		if info, err := os.Stat(folder); err != nil {
			return err
		} else if !info.IsDir() {
			return &fs.PathError{Op: "read policies", Path: folder, Err: errors.New("not a folder")}
		}
	}
	var errs []error
	for _, s := range services {
		_, err := Read(folder, s)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
