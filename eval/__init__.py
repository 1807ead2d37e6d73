"""Evaluation: questions × arms → metrics → intervals → verdict and report.

Imported as ``from eval.x import y``, never as ``import eval``, which would hide the builtin.
"""
