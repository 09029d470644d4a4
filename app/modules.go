package app

import (
	"context"
	"fmt"
	"path/filepath"

	"gatehouse/config"
	"gatehouse/gate"
	"gatehouse/module"
	"gatehouse/module/database"
	"gatehouse/module/upstream"
)

// modules are the downstream modules, by the name of their section in the configuration. One whose section is not there
// is not started. Adding a module is one folder and one line here.
var modules = map[string]Starter{
	"database": Start(database.New),
	"mcp":      StartMany(upstream.New),
}

// Starter makes the modules of one section of the configuration.
type Starter func(context.Context, module.Kit, config.Section) ([]gate.Module, error)

// Start makes a Starter of a module's constructor. The section is decoded, strictly, into the constructor's own Config.
func Start[C any, M gate.Module](construct func(context.Context, module.Kit, C) (M, error)) Starter {
	return func(ctx context.Context, kit module.Kit, section config.Section) ([]gate.Module, error) {
		var c C
		if err := section.Decode(&c); err != nil {
			return nil, err
		}
		m, err := construct(ctx, kit, c)
		if err != nil {
			return nil, fmt.Errorf("starting the module %s: %w", kit.Name, err)
		}
		return []gate.Module{m}, nil
	}
}

// StartMany is Start for constructors that give several modules.
func StartMany[C any, M interface{ Modules() []gate.Module }](construct func(context.Context, module.Kit, C) (M, error)) Starter {
	return func(ctx context.Context, kit module.Kit, section config.Section) ([]gate.Module, error) {
		var c C
		if err := section.Decode(&c); err != nil {
			return nil, err
		}
		many, err := construct(ctx, kit, c)
		if err != nil {
			return nil, fmt.Errorf("starting the module %s: %w", kit.Name, err)
		}
		return many.Modules(), nil
	}
}

// CheckServers looks at the MCP servers of a configuration as a start would, and starts nothing.
func CheckServers(file config.File) error {
	data, err := filepath.Abs(file.Data)
	if err != nil {
		return fmt.Errorf("finding the data folder: %w", err)
	}
	section := file.Modules["mcp"]
	var c upstream.Config
	if err := section.Decode(&c); err != nil {
		return err
	}
	return section.Wrap(c.Check(module.Kit{Name: "upstream", Data: data}))
}

// CheckServerName refuses a name that no MCP server can have.
func CheckServerName(name string) error { return upstream.CheckName(name) }
