package policy

import (
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"

	"gatehouse/canon"
)

// ConditionError is what is wrong with a condition, and where in it.
type ConditionError struct {
	Line, Column int // from 1, in characters; 0 if it is about the condition as a whole
	Problem      string
}

// Error gives line, column and problem.
func (e *ConditionError) Error() string {
	if e.Line == 0 {
		return e.Problem
	}
	return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Problem)
}

// The bounds of what evaluating a condition may cost. One that is above them is an error, which refuses.
const (
	maxCost    = 200_000 // in CEL's units: about one for each step
	maxDepth   = 40      // of what stands inside each other in a condition
	maxNodes   = 4000
	maxRegexps = 4000 // instructions of one regular expression
)

// language is CEL with our functions and variables, and nothing of a tool. It is made once and never changed.
var language = sync.OnceValues(func() (*cel.Env, error) {
	return cel.NewCustomEnv(append(functions(),
		cel.StdLib(),
		cel.CrossTypeNumericComparisons(true),
		cel.EnableIdentifierEscapeSyntax(),
		cel.DefaultUTCTimeZone(true),
		cel.ParserExpressionSizeLimit(MaxCondition),
		cel.ParserRecursionLimit(maxDepth),
		cel.ExpressionNodeLimit(maxNodes),
		cel.RegexProgramSizeLimit(maxRegexps),
		cel.Variable("caller", structType("caller")),
		cel.Variable("tool", structType("tool")),
		cel.Variable("session", structType("session")),
	)...)
})

// parse looks at a condition without a tool: what is wrong with its form is wrong for every tool.
func parse(condition string) *ConditionError {
	if utf8.RuneCountInString(condition) > MaxCondition {
		return &ConditionError{Problem: fmt.Sprintf("has more than %d characters", MaxCondition)}
	}
	env, err := language()
	if err != nil {
		return &ConditionError{Problem: err.Error()}
	}
	_, issues := env.Parse(condition)
	return first(issues)
}

// first gives the first of CEL's complaints, without the picture that CEL draws of it.
func first(issues *cel.Issues) *ConditionError {
	if issues == nil || len(issues.Errors()) == 0 {
		return nil
	}
	e := issues.Errors()[0]
	problem, _, _ := strings.Cut(e.Message, "\n")
	problem = strings.TrimPrefix(problem, "Syntax error: ")
	at := e.Location
	if at.Line() < 1 || at.Column() < 0 {
		return &ConditionError{Problem: problem}
	}
	return &ConditionError{at.Line(), at.Column() + 1, problem}
}

// condition is one that was checked against a schema.
type condition struct {
	program cel.Program
	shapes  *shapes
}

// typed gives the environment of tools with one schema.
func typed(schema canon.Value) (*cel.Env, *shapes, error) {
	env, err := language()
	if err != nil {
		return nil, nil, err
	}
	s := newShapes(env.CELTypeProvider(), schema)
	env, err = env.Extend(cel.CustomTypeProvider(s), cel.Variable("args", s.root.typ))
	return env, s, err
}

// compile checks a condition in the environment of a schema.
func compile(env *cel.Env, s *shapes, text string) (*condition, *ConditionError) {
	ast, issues := env.Compile(text)
	if e := first(issues); e != nil {
		return nil, e
	}
	if ast.OutputType() != types.BoolType {
		return nil, &ConditionError{Problem: "is " + cel.FormatCELType(ast.OutputType()) + ", and must be true or false"}
	}
	program, err := env.Program(ast, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(maxCost))
	if err != nil {
		return nil, &ConditionError{Problem: err.Error()}
	}
	return &condition{program, s}, nil
}

// holds works out a condition for a call.
func (c *condition) holds(v *variables) (bool, error) {
	v.shape = c.shapes.root
	out, _, err := c.program.Eval(v)
	if err != nil {
		return false, err
	}
	b, ok := out.(types.Bool)
	if !ok {
		return false, fmt.Errorf("the condition gave %s", out.Type().TypeName())
	}
	return bool(b), nil
}

// Condition is one that was checked against one tool, by itself: tokens carry such. It may be used from any goroutine.
type Condition struct {
	tool Tool
	when *condition
}

// NewCondition checks a condition against a tool.
func NewCondition(t Tool, text string) (*Condition, error) {
	if e := parse(text); e != nil {
		return nil, e
	}
	env, s, err := typed(t.Input)
	if err != nil {
		return nil, err
	}
	when, e := compile(env, s, text)
	if e != nil {
		return nil, e
	}
	return &Condition{t, when}, nil
}

// Holds works the condition out for a call. What cannot be worked out is an error, which must refuse.
func (c *Condition) Holds(call *Call) (bool, error) {
	return c.when.holds(&variables{call: call, tool: &c.tool})
}

// variables are what a condition can name. It implements cel.Activation.
type variables struct {
	call  *Call
	tool  *Tool
	shape *shape // of the arguments
}

// ResolveName implements cel.Activation.
func (v *variables) ResolveName(name string) (any, bool) {
	switch name {
	case "args":
		return structValue{v.call.Args, v.shape}, true
	case "caller":
		return record{name, v.call.Caller.field}, true
	case "tool":
		return record{name, v.tool.field}, true
	case "session":
		return record{name, v.call.Session.field}, true
	}
	return nil, false
}

// Parent implements cel.Activation.
func (*variables) Parent() cel.Activation { return nil }
