
use builtin;
use str;

set edit:completion:arg-completer[tflock] = {|@words|
    fn spaces {|n|
        builtin:repeat $n ' ' | str:join ''
    }
    fn cand {|text desc|
        edit:complex-candidate $text &display=$text' '(spaces (- 14 (wcswidth $text)))$desc
    }
    var command = 'tflock'
    for word $words[1..-1] {
        if (str:has-prefix $word '-') {
            break
        }
        set command = $command';'$word
    }
    var completions = [
        &'tflock'= {
            cand --store 'Where the lock lives'
            cand --table 'DynamoDB table [default: the backend''s `dynamodb_table`]'
            cand --lock-id 'The lock''s name [default: from the backend and workspace]'
            cand --wait 'How long to wait for a held lock: `90s`, `1h15m`, `0` for one attempt, `forever` for no limit'
            cand --reason 'Shown to everyone who meets the lock'
            cand --expire-after 'Let others take the lock over after this much silence, or `never` [default: plan 60s, all else never]'
            cand --terraform 'Program to run [default: `terraform`, else `tofu`, from PATH]'
            cand --no-input 'Never prompt; so too without a terminal'
            cand -q 'Errors only'
            cand --quiet 'Errors only'
            cand -v 'Say on stderr what is done and why'
            cand --verbose 'Say on stderr what is done and why'
            cand --help 'Print help'
            cand --version 'Print the version, and that of terraform'
            cand exec 'Hold the lock round any program'
            cand status 'Show who holds the lock, and whether they are alive'
            cand force-unlock 'Remove the lock of a holder that is dead, after asking'
            cand completions 'Print the completion script for a shell'
            cand apply 'Create or update infrastructure'
            cand console 'Try Terraform expressions at an interactive prompt'
            cand destroy 'Destroy previously created infrastructure'
            cand env 'Workspace management, by its old name'
            cand fmt 'Reformat the configuration in the standard style'
            cand get 'Install or upgrade remote modules'
            cand graph 'Generate a Graphviz graph of the steps in an operation'
            cand import 'Associate existing infrastructure with a resource'
            cand init 'Prepare the working directory for other commands'
            cand login 'Obtain and save credentials for a remote host'
            cand logout 'Remove locally stored credentials for a remote host'
            cand metadata 'Metadata related commands'
            cand modules 'Show all declared modules in a working directory'
            cand output 'Show output values from the root module'
            cand plan 'Show changes required by the current configuration'
            cand providers 'Show the providers required for this configuration'
            cand refresh 'Update the state to match remote systems'
            cand show 'Show the current state or a saved plan'
            cand stacks 'Manage stacks'
            cand state 'Advanced state management'
            cand taint 'Mark a resource instance as not fully functional'
            cand test 'Execute integration tests for modules'
            cand untaint 'Remove the tainted state from a resource instance'
            cand validate 'Check whether the configuration is valid'
            cand version 'Show the Terraform version'
            cand workspace 'Workspace management'
        }
        &'tflock;exec'= {
            cand --store 'Where the lock lives'
            cand --table 'DynamoDB table [default: the backend''s `dynamodb_table`]'
            cand --lock-id 'The lock''s name [default: from the backend and workspace]'
            cand --wait 'How long to wait for a held lock: `90s`, `1h15m`, `0` for one attempt, `forever` for no limit'
            cand --reason 'Shown to everyone who meets the lock'
            cand --expire-after 'Let others take the lock over after this much silence, or `never` [default: plan 60s, all else never]'
            cand --terraform 'Program to run [default: `terraform`, else `tofu`, from PATH]'
            cand --no-input 'Never prompt; so too without a terminal'
            cand -q 'Errors only'
            cand --quiet 'Errors only'
            cand -v 'Say on stderr what is done and why'
            cand --verbose 'Say on stderr what is done and why'
            cand --help 'Print help'
        }
        &'tflock;status'= {
            cand --store 'Where the lock lives'
            cand --table 'DynamoDB table [default: the backend''s `dynamodb_table`]'
            cand --lock-id 'The lock''s name [default: from the backend and workspace]'
            cand --wait 'How long to wait for a held lock: `90s`, `1h15m`, `0` for one attempt, `forever` for no limit'
            cand --reason 'Shown to everyone who meets the lock'
            cand --expire-after 'Let others take the lock over after this much silence, or `never` [default: plan 60s, all else never]'
            cand --terraform 'Program to run [default: `terraform`, else `tofu`, from PATH]'
            cand --json 'Print one JSON object'
            cand --exit-code 'Exit with 0 if the lock is free, 75 if it is held, 76 if it is stale'
            cand --no-input 'Never prompt; so too without a terminal'
            cand -q 'Errors only'
            cand --quiet 'Errors only'
            cand -v 'Say on stderr what is done and why'
            cand --verbose 'Say on stderr what is done and why'
            cand --help 'Print help'
        }
        &'tflock;force-unlock'= {
            cand --store 'Where the lock lives'
            cand --table 'DynamoDB table [default: the backend''s `dynamodb_table`]'
            cand --lock-id 'The lock''s name [default: from the backend and workspace]'
            cand --wait 'How long to wait for a held lock: `90s`, `1h15m`, `0` for one attempt, `forever` for no limit'
            cand --reason 'Shown to everyone who meets the lock'
            cand --expire-after 'Let others take the lock over after this much silence, or `never` [default: plan 60s, all else never]'
            cand --terraform 'Program to run [default: `terraform`, else `tofu`, from PATH]'
            cand --force 'Remove it although its holder is alive'
            cand --yes 'Do not ask'
            cand --no-input 'Never prompt; so too without a terminal'
            cand -q 'Errors only'
            cand --quiet 'Errors only'
            cand -v 'Say on stderr what is done and why'
            cand --verbose 'Say on stderr what is done and why'
            cand --help 'Print help'
        }
        &'tflock;completions'= {
            cand --store 'Where the lock lives'
            cand --table 'DynamoDB table [default: the backend''s `dynamodb_table`]'
            cand --lock-id 'The lock''s name [default: from the backend and workspace]'
            cand --wait 'How long to wait for a held lock: `90s`, `1h15m`, `0` for one attempt, `forever` for no limit'
            cand --reason 'Shown to everyone who meets the lock'
            cand --expire-after 'Let others take the lock over after this much silence, or `never` [default: plan 60s, all else never]'
            cand --terraform 'Program to run [default: `terraform`, else `tofu`, from PATH]'
            cand --no-input 'Never prompt; so too without a terminal'
            cand -q 'Errors only'
            cand --quiet 'Errors only'
            cand -v 'Say on stderr what is done and why'
            cand --verbose 'Say on stderr what is done and why'
            cand --help 'Print help'
        }
        &'tflock;apply'= {
        }
        &'tflock;console'= {
        }
        &'tflock;destroy'= {
        }
        &'tflock;env'= {
        }
        &'tflock;fmt'= {
        }
        &'tflock;get'= {
        }
        &'tflock;graph'= {
        }
        &'tflock;import'= {
        }
        &'tflock;init'= {
        }
        &'tflock;login'= {
        }
        &'tflock;logout'= {
        }
        &'tflock;metadata'= {
            cand functions 'functions'
        }
        &'tflock;metadata;functions'= {
        }
        &'tflock;modules'= {
        }
        &'tflock;output'= {
        }
        &'tflock;plan'= {
        }
        &'tflock;providers'= {
            cand lock 'lock'
            cand mirror 'mirror'
            cand schema 'schema'
        }
        &'tflock;providers;lock'= {
        }
        &'tflock;providers;mirror'= {
        }
        &'tflock;providers;schema'= {
        }
        &'tflock;refresh'= {
        }
        &'tflock;show'= {
        }
        &'tflock;stacks'= {
        }
        &'tflock;state'= {
            cand identities 'identities'
            cand list 'list'
            cand mv 'mv'
            cand pull 'pull'
            cand push 'push'
            cand replace-provider 'replace-provider'
            cand rm 'rm'
            cand show 'show'
        }
        &'tflock;state;identities'= {
        }
        &'tflock;state;list'= {
        }
        &'tflock;state;mv'= {
        }
        &'tflock;state;pull'= {
        }
        &'tflock;state;push'= {
        }
        &'tflock;state;replace-provider'= {
        }
        &'tflock;state;rm'= {
        }
        &'tflock;state;show'= {
        }
        &'tflock;taint'= {
        }
        &'tflock;test'= {
        }
        &'tflock;untaint'= {
        }
        &'tflock;validate'= {
        }
        &'tflock;version'= {
        }
        &'tflock;workspace'= {
            cand delete 'delete'
            cand list 'list'
            cand new 'new'
            cand select 'select'
            cand show 'show'
        }
        &'tflock;workspace;delete'= {
        }
        &'tflock;workspace;list'= {
        }
        &'tflock;workspace;new'= {
        }
        &'tflock;workspace;select'= {
        }
        &'tflock;workspace;show'= {
        }
    ]
    $completions[$command]
}
