
using namespace System.Management.Automation
using namespace System.Management.Automation.Language

Register-ArgumentCompleter -Native -CommandName 'tflock' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $commandElements = $commandAst.CommandElements
    $command = @(
        'tflock'
        for ($i = 1; $i -lt $commandElements.Count; $i++) {
            $element = $commandElements[$i]
            if ($element -isnot [StringConstantExpressionAst] -or
                $element.StringConstantType -ne [StringConstantType]::BareWord -or
                $element.Value.StartsWith('-') -or
                $element.Value -eq $wordToComplete) {
                break
        }
        $element.Value
    }) -join ';'

    $completions = @(switch ($command) {
        'tflock' {
            [CompletionResult]::new('--store', '--store', [CompletionResultType]::ParameterName, 'Where the lock lives')
            [CompletionResult]::new('--table', '--table', [CompletionResultType]::ParameterName, 'DynamoDB table [default: the backend''s `dynamodb_table`]')
            [CompletionResult]::new('--lock-id', '--lock-id', [CompletionResultType]::ParameterName, 'The lock''s name [default: from the backend and workspace]')
            [CompletionResult]::new('--wait', '--wait', [CompletionResultType]::ParameterName, 'How long to wait for a held lock: `90s`, `1h15m`, `0` for one attempt, `forever` for no limit')
            [CompletionResult]::new('--reason', '--reason', [CompletionResultType]::ParameterName, 'Shown to everyone who meets the lock')
            [CompletionResult]::new('--expire-after', '--expire-after', [CompletionResultType]::ParameterName, 'Let others take the lock over after this much silence, or `never` [default: plan 60s, all else never]')
            [CompletionResult]::new('--terraform', '--terraform', [CompletionResultType]::ParameterName, 'Program to run [default: `terraform`, else `tofu`, from PATH]')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never prompt; so too without a terminal')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Errors only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say on stderr what is done and why')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say on stderr what is done and why')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print the version, and that of terraform')
            [CompletionResult]::new('exec', 'exec', [CompletionResultType]::ParameterValue, 'Hold the lock round any program')
            [CompletionResult]::new('status', 'status', [CompletionResultType]::ParameterValue, 'Show who holds the lock, and whether they are alive')
            [CompletionResult]::new('force-unlock', 'force-unlock', [CompletionResultType]::ParameterValue, 'Remove the lock of a holder that is dead, after asking')
            [CompletionResult]::new('completions', 'completions', [CompletionResultType]::ParameterValue, 'Print the completion script for a shell')
            [CompletionResult]::new('apply', 'apply', [CompletionResultType]::ParameterValue, 'Create or update infrastructure')
            [CompletionResult]::new('console', 'console', [CompletionResultType]::ParameterValue, 'Try Terraform expressions at an interactive prompt')
            [CompletionResult]::new('destroy', 'destroy', [CompletionResultType]::ParameterValue, 'Destroy previously created infrastructure')
            [CompletionResult]::new('env', 'env', [CompletionResultType]::ParameterValue, 'Workspace management, by its old name')
            [CompletionResult]::new('fmt', 'fmt', [CompletionResultType]::ParameterValue, 'Reformat the configuration in the standard style')
            [CompletionResult]::new('get', 'get', [CompletionResultType]::ParameterValue, 'Install or upgrade remote modules')
            [CompletionResult]::new('graph', 'graph', [CompletionResultType]::ParameterValue, 'Generate a Graphviz graph of the steps in an operation')
            [CompletionResult]::new('import', 'import', [CompletionResultType]::ParameterValue, 'Associate existing infrastructure with a resource')
            [CompletionResult]::new('init', 'init', [CompletionResultType]::ParameterValue, 'Prepare the working directory for other commands')
            [CompletionResult]::new('login', 'login', [CompletionResultType]::ParameterValue, 'Obtain and save credentials for a remote host')
            [CompletionResult]::new('logout', 'logout', [CompletionResultType]::ParameterValue, 'Remove locally stored credentials for a remote host')
            [CompletionResult]::new('metadata', 'metadata', [CompletionResultType]::ParameterValue, 'Metadata related commands')
            [CompletionResult]::new('modules', 'modules', [CompletionResultType]::ParameterValue, 'Show all declared modules in a working directory')
            [CompletionResult]::new('output', 'output', [CompletionResultType]::ParameterValue, 'Show output values from the root module')
            [CompletionResult]::new('plan', 'plan', [CompletionResultType]::ParameterValue, 'Show changes required by the current configuration')
            [CompletionResult]::new('providers', 'providers', [CompletionResultType]::ParameterValue, 'Show the providers required for this configuration')
            [CompletionResult]::new('refresh', 'refresh', [CompletionResultType]::ParameterValue, 'Update the state to match remote systems')
            [CompletionResult]::new('show', 'show', [CompletionResultType]::ParameterValue, 'Show the current state or a saved plan')
            [CompletionResult]::new('stacks', 'stacks', [CompletionResultType]::ParameterValue, 'Manage stacks')
            [CompletionResult]::new('state', 'state', [CompletionResultType]::ParameterValue, 'Advanced state management')
            [CompletionResult]::new('taint', 'taint', [CompletionResultType]::ParameterValue, 'Mark a resource instance as not fully functional')
            [CompletionResult]::new('test', 'test', [CompletionResultType]::ParameterValue, 'Execute integration tests for modules')
            [CompletionResult]::new('untaint', 'untaint', [CompletionResultType]::ParameterValue, 'Remove the tainted state from a resource instance')
            [CompletionResult]::new('validate', 'validate', [CompletionResultType]::ParameterValue, 'Check whether the configuration is valid')
            [CompletionResult]::new('version', 'version', [CompletionResultType]::ParameterValue, 'Show the Terraform version')
            [CompletionResult]::new('workspace', 'workspace', [CompletionResultType]::ParameterValue, 'Workspace management')
            break
        }
        'tflock;exec' {
            [CompletionResult]::new('--store', '--store', [CompletionResultType]::ParameterName, 'Where the lock lives')
            [CompletionResult]::new('--table', '--table', [CompletionResultType]::ParameterName, 'DynamoDB table [default: the backend''s `dynamodb_table`]')
            [CompletionResult]::new('--lock-id', '--lock-id', [CompletionResultType]::ParameterName, 'The lock''s name [default: from the backend and workspace]')
            [CompletionResult]::new('--wait', '--wait', [CompletionResultType]::ParameterName, 'How long to wait for a held lock: `90s`, `1h15m`, `0` for one attempt, `forever` for no limit')
            [CompletionResult]::new('--reason', '--reason', [CompletionResultType]::ParameterName, 'Shown to everyone who meets the lock')
            [CompletionResult]::new('--expire-after', '--expire-after', [CompletionResultType]::ParameterName, 'Let others take the lock over after this much silence, or `never` [default: plan 60s, all else never]')
            [CompletionResult]::new('--terraform', '--terraform', [CompletionResultType]::ParameterName, 'Program to run [default: `terraform`, else `tofu`, from PATH]')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never prompt; so too without a terminal')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Errors only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say on stderr what is done and why')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say on stderr what is done and why')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'tflock;status' {
            [CompletionResult]::new('--store', '--store', [CompletionResultType]::ParameterName, 'Where the lock lives')
            [CompletionResult]::new('--table', '--table', [CompletionResultType]::ParameterName, 'DynamoDB table [default: the backend''s `dynamodb_table`]')
            [CompletionResult]::new('--lock-id', '--lock-id', [CompletionResultType]::ParameterName, 'The lock''s name [default: from the backend and workspace]')
            [CompletionResult]::new('--wait', '--wait', [CompletionResultType]::ParameterName, 'How long to wait for a held lock: `90s`, `1h15m`, `0` for one attempt, `forever` for no limit')
            [CompletionResult]::new('--reason', '--reason', [CompletionResultType]::ParameterName, 'Shown to everyone who meets the lock')
            [CompletionResult]::new('--expire-after', '--expire-after', [CompletionResultType]::ParameterName, 'Let others take the lock over after this much silence, or `never` [default: plan 60s, all else never]')
            [CompletionResult]::new('--terraform', '--terraform', [CompletionResultType]::ParameterName, 'Program to run [default: `terraform`, else `tofu`, from PATH]')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object')
            [CompletionResult]::new('--exit-code', '--exit-code', [CompletionResultType]::ParameterName, 'Exit with 0 if the lock is free, 75 if it is held, 76 if it is stale')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never prompt; so too without a terminal')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Errors only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say on stderr what is done and why')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say on stderr what is done and why')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'tflock;force-unlock' {
            [CompletionResult]::new('--store', '--store', [CompletionResultType]::ParameterName, 'Where the lock lives')
            [CompletionResult]::new('--table', '--table', [CompletionResultType]::ParameterName, 'DynamoDB table [default: the backend''s `dynamodb_table`]')
            [CompletionResult]::new('--lock-id', '--lock-id', [CompletionResultType]::ParameterName, 'The lock''s name [default: from the backend and workspace]')
            [CompletionResult]::new('--wait', '--wait', [CompletionResultType]::ParameterName, 'How long to wait for a held lock: `90s`, `1h15m`, `0` for one attempt, `forever` for no limit')
            [CompletionResult]::new('--reason', '--reason', [CompletionResultType]::ParameterName, 'Shown to everyone who meets the lock')
            [CompletionResult]::new('--expire-after', '--expire-after', [CompletionResultType]::ParameterName, 'Let others take the lock over after this much silence, or `never` [default: plan 60s, all else never]')
            [CompletionResult]::new('--terraform', '--terraform', [CompletionResultType]::ParameterName, 'Program to run [default: `terraform`, else `tofu`, from PATH]')
            [CompletionResult]::new('--force', '--force', [CompletionResultType]::ParameterName, 'Remove it although its holder is alive')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Do not ask')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never prompt; so too without a terminal')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Errors only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say on stderr what is done and why')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say on stderr what is done and why')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'tflock;completions' {
            [CompletionResult]::new('--store', '--store', [CompletionResultType]::ParameterName, 'Where the lock lives')
            [CompletionResult]::new('--table', '--table', [CompletionResultType]::ParameterName, 'DynamoDB table [default: the backend''s `dynamodb_table`]')
            [CompletionResult]::new('--lock-id', '--lock-id', [CompletionResultType]::ParameterName, 'The lock''s name [default: from the backend and workspace]')
            [CompletionResult]::new('--wait', '--wait', [CompletionResultType]::ParameterName, 'How long to wait for a held lock: `90s`, `1h15m`, `0` for one attempt, `forever` for no limit')
            [CompletionResult]::new('--reason', '--reason', [CompletionResultType]::ParameterName, 'Shown to everyone who meets the lock')
            [CompletionResult]::new('--expire-after', '--expire-after', [CompletionResultType]::ParameterName, 'Let others take the lock over after this much silence, or `never` [default: plan 60s, all else never]')
            [CompletionResult]::new('--terraform', '--terraform', [CompletionResultType]::ParameterName, 'Program to run [default: `terraform`, else `tofu`, from PATH]')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never prompt; so too without a terminal')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Errors only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say on stderr what is done and why')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say on stderr what is done and why')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'tflock;apply' {
            break
        }
        'tflock;console' {
            break
        }
        'tflock;destroy' {
            break
        }
        'tflock;env' {
            break
        }
        'tflock;fmt' {
            break
        }
        'tflock;get' {
            break
        }
        'tflock;graph' {
            break
        }
        'tflock;import' {
            break
        }
        'tflock;init' {
            break
        }
        'tflock;login' {
            break
        }
        'tflock;logout' {
            break
        }
        'tflock;metadata' {
            [CompletionResult]::new('functions', 'functions', [CompletionResultType]::ParameterValue, 'functions')
            break
        }
        'tflock;metadata;functions' {
            break
        }
        'tflock;modules' {
            break
        }
        'tflock;output' {
            break
        }
        'tflock;plan' {
            break
        }
        'tflock;providers' {
            [CompletionResult]::new('lock', 'lock', [CompletionResultType]::ParameterValue, 'lock')
            [CompletionResult]::new('mirror', 'mirror', [CompletionResultType]::ParameterValue, 'mirror')
            [CompletionResult]::new('schema', 'schema', [CompletionResultType]::ParameterValue, 'schema')
            break
        }
        'tflock;providers;lock' {
            break
        }
        'tflock;providers;mirror' {
            break
        }
        'tflock;providers;schema' {
            break
        }
        'tflock;refresh' {
            break
        }
        'tflock;show' {
            break
        }
        'tflock;stacks' {
            break
        }
        'tflock;state' {
            [CompletionResult]::new('identities', 'identities', [CompletionResultType]::ParameterValue, 'identities')
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'list')
            [CompletionResult]::new('mv', 'mv', [CompletionResultType]::ParameterValue, 'mv')
            [CompletionResult]::new('pull', 'pull', [CompletionResultType]::ParameterValue, 'pull')
            [CompletionResult]::new('push', 'push', [CompletionResultType]::ParameterValue, 'push')
            [CompletionResult]::new('replace-provider', 'replace-provider', [CompletionResultType]::ParameterValue, 'replace-provider')
            [CompletionResult]::new('rm', 'rm', [CompletionResultType]::ParameterValue, 'rm')
            [CompletionResult]::new('show', 'show', [CompletionResultType]::ParameterValue, 'show')
            break
        }
        'tflock;state;identities' {
            break
        }
        'tflock;state;list' {
            break
        }
        'tflock;state;mv' {
            break
        }
        'tflock;state;pull' {
            break
        }
        'tflock;state;push' {
            break
        }
        'tflock;state;replace-provider' {
            break
        }
        'tflock;state;rm' {
            break
        }
        'tflock;state;show' {
            break
        }
        'tflock;taint' {
            break
        }
        'tflock;test' {
            break
        }
        'tflock;untaint' {
            break
        }
        'tflock;validate' {
            break
        }
        'tflock;version' {
            break
        }
        'tflock;workspace' {
            [CompletionResult]::new('delete', 'delete', [CompletionResultType]::ParameterValue, 'delete')
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'list')
            [CompletionResult]::new('new', 'new', [CompletionResultType]::ParameterValue, 'new')
            [CompletionResult]::new('select', 'select', [CompletionResultType]::ParameterValue, 'select')
            [CompletionResult]::new('show', 'show', [CompletionResultType]::ParameterValue, 'show')
            break
        }
        'tflock;workspace;delete' {
            break
        }
        'tflock;workspace;list' {
            break
        }
        'tflock;workspace;new' {
            break
        }
        'tflock;workspace;select' {
            break
        }
        'tflock;workspace;show' {
            break
        }
    })

    $completions.Where{ $_.CompletionText -like "$wordToComplete*" } |
        Sort-Object -Property ListItemText
}
