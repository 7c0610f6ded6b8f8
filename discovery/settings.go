// SPDX-License-Identifier: Apache-2.0

package discovery

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const sourceDefault = "default"

// Setting is one effective value and where it came from.
type Setting struct {
	// Name is what it is called in the documentation, such as "address".
	Name string
	// Value is as it was written; "(set)" for a secret.
	Value string
	// Source is a variable such as "CONSUL_HTTP_ADDR", a place in a file such as
	// "registry.yaml:3:12", or "default".
	Source string
}

// String returns "name = value (source)".
func (s Setting) String() string { return s.Name + " = " + s.Value + " (" + s.Source + ")" }

// FileValue is a value out of a configuration file.
type FileValue struct {
	Value        string
	Line, Column int // from 1
}

// Settings finds the settings of a back end, and remembers what it found: the
// environment wins over the file, the file over the default. A variable that is empty
// counts as not set. Use [NewSettings]. It is not safe for concurrent use.
//
//	s := discovery.NewSettings(os.LookupEnv)
//	address := s.String("address", "127.0.0.1:8500", "CONSUL_HTTP_ADDR")
//	token := s.Secret("token", "CONSUL_HTTP_TOKEN")
//	if err := s.Err(); err != nil { … } // names each that makes no sense, and its source
//	for _, setting := range s.All() { fmt.Println(setting) }
type Settings struct {
	lookup   func(string) (string, bool)
	file     string
	values   map[string]FileValue
	used     map[string]bool
	settings []Setting
	errs     []error
}

// NewSettings returns settings from an environment; lookup is [os.LookupEnv].
func NewSettings(lookup func(string) (string, bool)) *Settings {
	return &Settings{lookup: lookup, used: map[string]bool{}}
}

// UseFile adds the values of a configuration file, by setting name. A value that
// nobody asks for is an error of [Settings.Err]: it is misspelt.
func (s *Settings) UseFile(name string, values map[string]FileValue) {
	s.file, s.values = name, values
}

// String returns a setting: the first of the variables that is set, else the file's,
// else the default.
func (s *Settings) String(name, fallback string, variables ...string) string {
	value, source := s.find(name, fallback, variables)
	s.settings = append(s.settings, Setting{name, withoutPassword(value), source})
	return value
}

// Secret is like [Settings.String] without a default, and keeps the value to itself.
func (s *Settings) Secret(name string, variables ...string) string {
	value, source := s.find(name, "", variables)
	shown := ""
	if value != "" {
		shown = "(set)"
	}
	s.settings = append(s.settings, Setting{name, shown, source})
	return value
}

// List is like [Settings.String] for values with commas between them; it returns
// those that are not empty, without spaces around them.
func (s *Settings) List(name, fallback string, variables ...string) []string {
	value, source := s.find(name, fallback, variables)
	var list, shown []string
	for part := range strings.SplitSeq(value, ",") {
		if part = strings.TrimSpace(part); part != "" {
			list = append(list, part)
			shown = append(shown, withoutPassword(part))
		}
	}
	s.settings = append(s.settings, Setting{name, strings.Join(shown, ","), source})
	return list
}

// Duration is like [Settings.String] for values such as "1.5s".
func (s *Settings) Duration(name string, fallback time.Duration, variables ...string) time.Duration {
	return parsed(s, name, fallback, variables, time.ParseDuration, `a duration such as "1.5s"`)
}

// Bool is like [Settings.String] for true and false, in the spellings of
// [strconv.ParseBool].
func (s *Settings) Bool(name string, fallback bool, variables ...string) bool {
	return parsed(s, name, fallback, variables, strconv.ParseBool, "true or false")
}

// Int is like [Settings.String] for whole numbers.
func (s *Settings) Int(name string, fallback int, variables ...string) int {
	return parsed(s, name, fallback, variables, strconv.Atoi, "a whole number")
}

func parsed[T any](s *Settings, name string, fallback T, variables []string, parse func(string) (T, error), rule string) T {
	text := fmt.Sprint(fallback)
	value, source := s.find(name, text, variables)
	s.settings = append(s.settings, Setting{name, value, source})
	if source == sourceDefault {
		return fallback
	}
	v, err := parse(value)
	if err != nil {
		s.errs = append(s.errs, fmt.Errorf("discovery: %s %q: must be %s (from %s)", name, value, rule, source))
		return fallback
	}
	return v
}

func (s *Settings) find(name, fallback string, variables []string) (value, source string) {
	s.used[name] = true
	for _, v := range variables {
		if value, ok := s.lookup(v); ok && value != "" {
			return value, v
		}
	}
	if v, ok := s.values[name]; ok {
		return v.Value, fmt.Sprintf("%s:%d:%d", s.file, v.Line, v.Column)
	}
	return fallback, sourceDefault
}

// withoutPassword hides what a URL says before its host.
func withoutPassword(value string) string {
	u, err := url.Parse(value)
	if err != nil || u.User == nil {
		return value
	}
	u.User = url.User("(set)")
	return u.Redacted()
}

// All returns the settings asked for so far, in that order.
func (s *Settings) All() []Setting { return s.settings }

// Err returns what is wrong with the values that were asked for, and which values of
// the file nobody asked for.
func (s *Settings) Err() error {
	errs := slices.Clip(s.errs)
	for _, name := range sortedKeys(s.values) {
		if v := s.values[name]; !s.used[name] {
			errs = append(errs, fmt.Errorf("discovery: %s:%d:%d: %q: no such setting", s.file, v.Line, v.Column, name))
		}
	}
	return errors.Join(errs...)
}
